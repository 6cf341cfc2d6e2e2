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
	options Options
	report  *Report
	pieces  []piece
	total   int64 // bytes of all pieces in the source
}

// piece is some rows of a source tensor and where they go.
type piece struct {
	from      *gguf.Tensor
	row, rows int // in from
	to        *nbits.Matrix
	at        int // the row in to
	headSize  int // rows are those of heads, in GGUF's order of rotary pairs; 0: as they are
}

// part is a source tensor that becomes rows of a matrix.
type part struct {
	from     *gguf.Tensor
	headSize int
}

const pieceBytes = 1 << 20 // of a piece's values as float32

// llama takes room for the weights of a Llama model.
func (w *writer) llama(s *llamaSource) (llama.Weights, error) {
	var failed error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	norm := func(name string, t *gguf.Tensor) *graph.Tensor {
		values, err := t.Float32s()
		if err != nil {
			note(err)
			return nil
		}
		out, err := w.data.Add(name+".weight", graph.Float32, []int64{int64(len(values))}, graph.AppendFloat32(nil, values))
		note(err)
		return out
	}
	matrix := func(name string, f nbits.Format, parts ...part) *nbits.Matrix {
		m, err := w.matrix(name, f, parts...)
		note(err)
		return m
	}

	const embedding = "model.embed_tokens"
	out := llama.Weights{Norm: norm("model.norm", s.norm)}
	layers := w.options.format(s.products()...)
	head := w.options.format(s.head.Type)
	table := embeddingFormat(s, head)
	out.Embedding = matrix(embedding, table, part{from: s.embedding})
	out.Head = out.Embedding
	if !s.tied || table != head {
		out.Head = matrix("lm_head", head, part{from: s.head})
	}
	for i, l := range s.layers {
		p := llama.LayerName(i)
		size := s.config.HeadSize
		out.Layers = append(out.Layers, llama.Layer{
			InputNorm: norm(p+"input_layernorm", l.inputNorm),
			QKV:       matrix(p+"self_attn.qkv_proj", layers, part{l.query, size}, part{l.key, size}, part{l.value, 0}),
			Output:    matrix(p+"self_attn.o_proj", layers, part{l.output, 0}),
			PostNorm:  norm(p+"post_attention_layernorm", l.postNorm),
			Gate:      matrix(p+"mlp.gate_proj", layers, part{l.gate, 0}),
			Up:        matrix(p+"mlp.up_proj", layers, part{l.up, 0}),
			Down:      matrix(p+"mlp.down_proj", layers, part{l.down, 0}),
		})
		if failed != nil {
			break
		}
	}
	w.report.Weights, w.report.Head, w.report.Embedding = layers, head, table
	return out, failed
}

// matrix takes room for a matrix and notes the pieces that fill it.
func (w *writer) matrix(name string, f nbits.Format, parts ...part) (*nbits.Matrix, error) {
	rows, exact := 0, true
	for _, p := range parts {
		rows += int(p.from.Rows())
		exact = exact && holds(f, p.from.Type)
	}
	length := int(parts[0].from.RowLength())
	m, err := nbits.Create(w.data, name, f, rows, length)
	if err != nil {
		return nil, err
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
		all := int(p.from.Rows())
		for row := 0; row < all; row += step {
			n := min(step, all-row)
			w.pieces = append(w.pieces, piece{from: p.from, row: row, rows: n, to: m, at: at + row, headSize: p.headSize})
			w.total += int64(n) * int64(p.from.RowBytes())
		}
		at += all
	}
	return m, nil
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
			var c converter
			for p := range next {
				if err := c.convert(p); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done += int64(p.rows) * int64(p.from.RowBytes())
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
