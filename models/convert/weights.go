package convert

import (
	"context"
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
	failed  error // the first

	progress func(done, total int64) // may be nil
	mu       sync.Mutex
	done     int64
	total    int64 // bytes of the source that are read, some of them twice
}

// piece is some rows of a source tensor and where they go.
type piece struct {
	from      *tensor
	row, rows int // in from
	to        *nbits.Matrix
	at        int // the row in to
	headSize  int // rows are those of heads, rotary pairs side by side; 0: as they are

	columns  columnFit
	divisors []float32 // of the rows, may be nil
}

// part is a source tensor that becomes rows of a matrix.
type part struct {
	from     *tensor
	headSize int
	divisors []float32 // of the rows, or of a vector's elements; may be nil
}

const pieceBytes = 1 << 20 // of a piece's values as float32

// model takes room for the weights of a model.
func (w *writer) model(s *source, f formats, fit fits) (llama.Weights, error) {
	w.config = s.config
	const embedding = "model.embed_tokens"
	out := llama.Weights{Norm: w.vector("model.norm.weight", part{from: s.norm, divisors: fit.head.scales})}
	if sharesHead(s, f) {
		out.Embedding = w.matrix(embedding, f.embedding, fit.head, part{from: s.embedding})
		out.Head = out.Embedding
		out.EmbeddingScale = w.inverse(embedding+".scale", fit.head.scales)
	} else {
		out.Embedding = w.matrix(embedding, f.embedding, columnFit{}, part{from: s.embedding})
		out.Head = w.matrix("lm_head", f.head, fit.head, part{from: s.head})
	}
	turned := 0
	if s.interleaved {
		turned = s.config.HeadSize
	}
	for i, l := range s.layers {
		p, format, fit := llama.LayerName(i), f.layers[i], fit.layers[i]
		rows := func(from *tensor) part { return part{from: from} }
		heads := func(from *tensor) part { return part{from: from, headSize: turned} }
		out.Layers = append(out.Layers, llama.Layer{
			InputNorm:  w.vector(p+"input_layernorm.weight", part{from: l.inputNorm, divisors: fit.qkv.scales}),
			QKV:        w.matrix(p+"self_attn.qkv_proj", format, fit.qkv, heads(l.query), heads(l.key), part{from: l.value, divisors: fit.value}),
			QKVBias:    w.vector(p+"self_attn.qkv_proj.bias", heads(l.queryBias), heads(l.keyBias), part{from: l.valueBias, divisors: fit.value}),
			QueryNorm:  w.vector(p+"self_attn.q_norm.weight", rows(l.queryNorm)),
			KeyNorm:    w.vector(p+"self_attn.k_norm.weight", rows(l.keyNorm)),
			Output:     w.matrix(p+"self_attn.o_proj", format, fit.output, rows(l.output)),
			OutputBias: w.vector(p+"self_attn.o_proj.bias", rows(l.outputBias)),
			PostNorm:   w.vector(p+"post_attention_layernorm.weight", part{from: l.postNorm, divisors: fit.gateUp.scales}),
			Gate:       w.matrix(p+"mlp.gate_proj", format, fit.gateUp, rows(l.gate)),
			Up:         w.matrix(p+"mlp.up_proj", format, fit.gateUp, part{from: l.up, divisors: fit.down.scales}),
			Down:       w.matrix(p+"mlp.down_proj", format, fit.down, rows(l.down)),
		})
	}
	w.report.Weights, w.report.Head, w.report.Embedding = f.layers[len(f.layers)/2], f.head, f.embedding
	w.report.Edges = f.layers[0]
	return out, w.failed
}

// advance tells of bytes that were read.
func (w *writer) advance(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += bytes
	if w.progress != nil {
		w.progress(w.done, w.total)
	}
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
		for i, d := range p.divisors {
			values[i] /= d
		}
		all = append(all, values...)
	}
	out, err := w.config.Vector(w.data, name, all)
	w.note(err)
	return out
}

// inverse writes the inverses of scales; it is nil where there are none.
func (w *writer) inverse(name string, scales []float32) *graph.Tensor {
	if scales == nil || w.failed != nil {
		return nil
	}
	values := make([]float32, len(scales))
	for i, v := range scales {
		values[i] = 1 / v
	}
	out, err := w.config.Vector(w.data, name, values)
	w.note(err)
	return out
}

// matrix takes room for a matrix and notes the pieces that fill it.
func (w *writer) matrix(name string, f nbits.Format, columns columnFit, parts ...part) *nbits.Matrix {
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
			w.pieces = append(w.pieces, piece{p.from, row, n, m, at + row, p.headSize, columns, p.divisors})
		}
		at += p.from.rows
	}
	return m
}

// run fills all matrices, on as many goroutines as there are processors.
func (w *writer) run(ctx context.Context) error {
	return spread(ctx, converter{nearest: w.nearest}, len(w.pieces), func(c *converter, i int) error {
		p := w.pieces[i]
		if err := c.convert(p); err != nil {
			return err
		}
		w.advance(int64(p.rows) * int64(p.from.rowBytes()))
		return nil
	})
}
