package onnx

import (
	"errors"
	"fmt"
	"math"

	"ortserve/engine"
	"ortserve/onnx/graph"
)

// KVRange is how large the numbers of one layer's cache get, float32 [KVHeads*HeadSize]: what scales of a quantized cache are made of.
// A key is turned by its position, pair by pair (i and i+HeadSize/2), so both numbers of a pair have the pair's largest length, which no
// position changes.
type KVRange struct{ Key, Value []float32 }

// MeasureKV runs texts through the graph at path and returns what each layer's cache held. The graph's cache must be float32 or float16,
// past and present one buffer, as our importer writes it; a text longer than o.MaxLen is cut.
func MeasureKV(path string, c *Contract, o Options, texts [][]int32) (ranges []KVRange, err error) {
	o.Slots = 1
	s, err := Open(path, c, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	m, ok := s.Model.(*shared)
	if !ok || c.KVType != graph.Float32 && c.KVType != graph.Float16 {
		return nil, fmt.Errorf("the cache is %s (%s), want float32 or float16 in one buffer", c.KVType, s.report.Family)
	}
	ranges = make([]KVRange, len(c.KV)/2)
	for i := range ranges {
		ranges[i] = KVRange{make([]float32, c.KVHeads*c.HeadSize), make([]float32, c.KVHeads*c.HeadSize)}
	}
	for _, text := range texts {
		text = text[:min(len(text), o.MaxLen)]
		for past := 0; past < len(text); {
			n := min(o.Chunk, len(text)-past)
			if _, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Past: past, Tokens: text[past : past+n], Logits: 1}}}); err != nil {
				return nil, err
			}
			past += n
		}
		for i := range ranges {
			if err := m.kv.extend(&ranges[i], i, len(text)); err != nil {
				return nil, err
			}
		}
	}
	return ranges, nil
}

// extend notes the first n rows of a layer in slot 0.
func (k *kvCache) extend(r *KVRange, layer, n int) error {
	numbers := make([]float32, n*k.headSize)
	half := k.headSize / 2
	for side, sizes := range [][]float32{r.Key, r.Value} {
		for head := range k.heads {
			if err := k.numbers(numbers, 2*layer+side, head); err != nil {
				return err
			}
			at := sizes[head*k.headSize:][:k.headSize]
			for row := range n {
				v := numbers[row*k.headSize:][:k.headSize]
				for i := range v {
					size := math.Abs(float64(v[i]))
					if side == 0 {
						size = math.Hypot(float64(v[i%half]), float64(v[i%half+half]))
					}
					at[i] = max(at[i], float32(size))
				}
			}
		}
	}
	return nil
}

// numbers reads rows of one head in slot 0 of a slab.
func (k *kvCache) numbers(dst []float32, side, head int) error {
	rows := memory(k.rowsOf(side, 0, head)[:len(dst)/k.headSize*k.row])
	if k.dtype == elementType(graph.Float32) {
		copy(dst, view[float32](rows))
		return nil
	}
	return widen(dst, rows, graph.Float16)
}
