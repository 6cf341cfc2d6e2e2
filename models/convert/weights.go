package convert

import (
	"context"
	"runtime"
	"sync"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// writer takes room for all tensors, then fills it.
type writer struct {
	data    *graph.DataFile
	config  llama.Config
	nearest bool // round to nearest, search no scales
	report  *Report
	pieces  []piece
	total   int64 // bytes of all pieces in the source
	failed  error // the first
}

// piece is some rows of a source tensor and where they go.
type piece struct {
	from      *tensor
	row, rows int // in from
	to        *nbits.Matrix
	at        int // the row in to
	headSize  int // rows are those of heads, rotary pairs side by side; 0: as they are

	importance []float32 // of each column, may be nil
}

// part is a source tensor that becomes rows of a matrix.
type part struct {
	from     *tensor
	headSize int
}

const pieceBytes = 1 << 20 // of a piece's values as float32

// model takes room for the weights of a model.
func (w *writer) model(s *source, f formats) (llama.Weights, error) {
	w.config = s.config
	const embedding = "model.embed_tokens"
	out := llama.Weights{Norm: w.vector("model.norm.weight", part{from: s.norm})}
	last := w.afterNorm(s.norm, f.head.Bits)
	if s.tied && f.embedding == f.head {
		out.Embedding = w.matrix(embedding, f.embedding, last, part{from: s.embedding})
		out.Head = out.Embedding
	} else {
		out.Embedding = w.matrix(embedding, f.embedding, nil, part{from: s.embedding})
		out.Head = w.matrix("lm_head", f.head, last, part{from: s.head})
	}
	turned := 0
	if s.interleaved {
		turned = s.config.HeadSize
	}
	for i, l := range s.layers {
		p, format := llama.LayerName(i), f.layers[i]
		before, between := w.afterNorm(l.inputNorm, format.Bits), w.afterNorm(l.postNorm, format.Bits)
		out.Layers = append(out.Layers, llama.Layer{
			InputNorm:  w.vector(p+"input_layernorm.weight", part{from: l.inputNorm}),
			QKV:        w.matrix(p+"self_attn.qkv_proj", format, before, part{l.query, turned}, part{l.key, turned}, part{l.value, 0}),
			QKVBias:    w.vector(p+"self_attn.qkv_proj.bias", part{l.queryBias, turned}, part{l.keyBias, turned}, part{l.valueBias, 0}),
			QueryNorm:  w.vector(p+"self_attn.q_norm.weight", part{from: l.queryNorm}),
			KeyNorm:    w.vector(p+"self_attn.k_norm.weight", part{from: l.keyNorm}),
			Output:     w.matrix(p+"self_attn.o_proj", format, nil, part{l.output, 0}),
			OutputBias: w.vector(p+"self_attn.o_proj.bias", part{from: l.outputBias}),
			PostNorm:   w.vector(p+"post_attention_layernorm.weight", part{from: l.postNorm}),
			Gate:       w.matrix(p+"mlp.gate_proj", format, between, part{l.gate, 0}),
			Up:         w.matrix(p+"mlp.up_proj", format, between, part{l.up, 0}),
			Down:       w.matrix(p+"mlp.down_proj", format, nil, part{l.down, 0}),
		})
	}
	w.report.Weights, w.report.Head, w.report.Embedding = f.layers[len(f.layers)/2], f.head, f.embedding
	w.report.Edges = f.layers[0]
	return out, w.failed
}

func (w *writer) note(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// vector writes a norm or a bias; it is nil where the source has none.
func (w *writer) vector(name string, parts ...part) *graph.Tensor {
	if parts[0].from == nil || w.failed != nil {
		return nil
	}
	var all []float32
	for _, p := range parts {
		values, err := p.from.values()
		if err != nil {
			w.note(err)
			return nil
		}
		if p.headSize > 0 {
			turned := make([]byte, 4*len(values))
			splitPairs(turned, graph.AppendFloat32(nil, values), p.headSize, 4)
			gguf.F32.Dequantize(values, turned)
		}
		all = append(all, values...)
	}
	out, err := w.config.Vector(w.data, name, all)
	w.note(err)
	return out
}

// matrix takes room for a matrix and notes the pieces that fill it.
func (w *writer) matrix(name string, f nbits.Format, importance []float32, parts ...part) *nbits.Matrix {
	if w.failed != nil {
		return nil
	}
	rows, exact := 0, true
	for _, p := range parts {
		rows += p.from.rows
		exact = exact && holds(f, p.from.kind)
	}
	length := parts[0].from.length
	m, err := nbits.Create(w.data, name, f, rows, length)
	if err != nil {
		w.note(err)
		return nil
	}
	if exact {
		w.report.Exact++
	} else {
		w.report.Rounded++
	}
	at := 0
	for _, p := range parts {
		step := max(1, pieceBytes/4/length)
		if p.headSize > 0 {
			step = max(1, step/p.headSize) * p.headSize
		}
		for row := 0; row < p.from.rows; row += step {
			n := min(step, p.from.rows-row)
			w.pieces = append(w.pieces, piece{p.from, row, n, m, at + row, p.headSize, importance})
			w.total += int64(n) * int64(p.from.rowBytes())
		}
		at += p.from.rows
	}
	return m
}

// run fills all matrices, on as many goroutines as there are processors.
func (w *writer) run(ctx context.Context, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	done := int64(0)
	next := make(chan piece)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), max(1, len(w.pieces))) {
		workers.Go(func() {
			defer fence(cancel)
			c := converter{nearest: w.nearest}
			for p := range next {
				if err := c.convert(p); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done += int64(p.rows) * int64(p.from.rowBytes())
				if progress != nil {
					progress(done, w.total)
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, p := range w.pieces {
		select {
		case next <- p:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}
