package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/graph"
)

// kvCache is the KV memory of a graph: one slab a layer and side, [slots+1, heads, rows, head size] in the graph's type.
// The last slot is scratch, for exchanging two others. The pages of a slab exist only once they are written.
type kvCache struct {
	kvLayout
	cuda  *cuda // the slabs lie in its memory; nil: in the processor's
	slabs []slab
	views map[rows][]ort.Value // tensors over slots, one a slab
}

// kvLayout is what all KV tensors of a graph have in common.
type kvLayout struct {
	heads    int
	headSize int
	row      int // bytes of one row: one position of one head
	dtype    ort.TensorElementDataType
}

// layout returns that of the graph.
func (c *Contract) layout() kvLayout {
	return kvLayout{heads: c.KVHeads, headSize: c.HeadSize, row: c.HeadSize * c.KVType.Bits() / 8, dtype: elementType(c.KVType)}
}

// shape returns the shape of a tensor over n slots.
func (l kvLayout) shape(n, rows int) ort.Shape {
	return ort.NewShape(int64(n), int64(l.heads), int64(rows), int64(l.headSize))
}

// tensor returns a tensor [n, heads, rows, head size] at the beginning of m.
func (l kvLayout) tensor(m []byte, n, rows int) (ort.Value, error) {
	shape := l.shape(n, rows)
	// A tensor of no rows is allowed, but the binding wants a byte.
	t, err := ort.NewCustomDataTensor(shape, m[:max(n*l.heads*rows*l.row, 1)], l.dtype)
	if err != nil {
		return nil, fmt.Errorf("a KV tensor of %v: %w", shape, err)
	}
	return t, nil
}

// slab is the memory of one side of one layer.
type slab struct {
	memory
	address uintptr // on the device, instead of memory
	rows    int     // of a slot; position p is in row p, unless the cache wraps
}

// rows is a range of slots.
type rows struct{ first, n int }

// wrapSlack is how many rows a cache that wraps has beyond its window. The kernel fills the cache, then moves the window to its beginning;
// the more rows, the rarer. From the first time on no token can be taken back, whatever the number: where a row is depends on the length
// of the sequence, and what was moved is not moved back (measured with ONNX Runtime 1.32).
const wrapSlack = 256

// kvRows returns how many rows a slot has in the cache of one side of a layer, for sequences of up to maxLen tokens. One serves padding, and
// padding is taken back: where runs are padded no cache wraps.
func (c *Contract) kvRows(kv KV, maxLen, slack int) int {
	if kv.Window > 0 && !c.PairedRows && kv.Window+slack < maxLen+1 {
		return kv.Window + slack
	}
	return maxLen + 1
}

// rowBytes returns the bytes of one token in one side of one layer.
func (c *Contract) rowBytes() int64 {
	return int64(c.KVHeads) * int64(c.HeadSize) * int64(c.KVType.Bits()) / 8
}

// TokenBytes returns the size of the KV rows of one token, in bytes.
func (c *Contract) TokenBytes() int64 { return int64(len(c.KV)) * c.rowBytes() }

// SlotBytes returns the KV memory of a slot that holds maxLen tokens, in bytes. A graph whose cache grows needs it three times: what the
// slot holds, the past of a run, its present.
func (c *Contract) SlotBytes(maxLen int) int64 {
	if !c.SharesBuffer {
		return 3 * c.TokenBytes() * int64(maxLen+1)
	}
	n := int64(0)
	for _, kv := range c.KV {
		n += int64(c.kvRows(kv, maxLen, wrapSlack)) * c.rowBytes()
	}
	return n
}

// newKVCache maps the memory for a graph, on the device if that is not nil. RowsOf says how many rows a slot has in each slab.
func newKVCache(c *Contract, slots int, device *cuda, rowsOf func(KV) int) (*kvCache, error) {
	k := &kvCache{kvLayout: c.layout(), cuda: device, views: make(map[rows][]ort.Value)}
	for _, kv := range c.KV {
		s := slab{rows: rowsOf(kv)}
		size := (slots + 1) * k.slotBytes(&s)
		var err error
		if device != nil {
			s.address, err = device.alloc(size)
		} else {
			s.memory, err = mapMemory(size)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("KV memory: %w", err), k.close())
		}
		k.slabs = append(k.slabs, s)
	}
	return k, nil
}

// elementType is a type of package graph as ONNX Runtime's interface calls it: their numbers are the same.
func elementType(t graph.DataType) ort.TensorElementDataType { return ort.TensorElementDataType(t) }

// slotBytes is the size of a slot in a slab.
func (k *kvCache) slotBytes(s *slab) int { return k.heads * s.rows * k.row }

// view returns tensors [n, heads, rows, head size] over slots [first, first+n), one a slab. They are made once.
func (k *kvCache) view(r rows) ([]ort.Value, error) {
	if v, ok := k.views[r]; ok {
		return v, nil
	}
	values := make([]ort.Value, 0, len(k.slabs))
	for i := range k.slabs {
		s := &k.slabs[i]
		from, size := r.first*k.slotBytes(s), r.n*k.slotBytes(s)
		var t ort.Value
		var err error
		if k.cuda != nil {
			t, err = k.cuda.tensor(s.address+uintptr(from), size, k.shape(r.n, s.rows), k.dtype)
		} else {
			t, err = k.tensor(s.memory[from:], r.n, s.rows)
		}
		if err != nil {
			return nil, errors.Join(err, destroy(values...))
		}
		values = append(values, t)
	}
	k.views[r] = values
	return values, nil
}

// rowsOf returns the rows of one head in a slot of a slab.
func (k *kvCache) rowsOf(side, slot, head int) []byte {
	s := &k.slabs[side]
	n := s.rows * k.row
	return s.memory[(slot*k.heads+head)*n:][:n]
}

// copy copies the rows of the first n positions of slot src to slot dst.
func (k *kvCache) copy(dst, src, n int) error {
	if k.cuda != nil {
		return k.copyOnDevice(dst, src, n)
	}
	for i := range k.slabs {
		s := &k.slabs[i]
		head, size := s.rows*k.row, min(n, s.rows)*k.row
		d, o := s.memory[dst*k.slotBytes(s):], s.memory[src*k.slotBytes(s):]
		for h := range k.heads {
			copy(d[h*head:h*head+size], o[h*head:])
		}
	}
	return nil
}

// copyOnDevice is copy where the slabs lie on the device.
func (k *kvCache) copyOnDevice(dst, src, n int) error {
	regions := make([]region, 0, len(k.slabs))
	for i := range k.slabs {
		s := &k.slabs[i]
		regions = append(regions, region{
			dst:   s.address + uintptr(dst*k.slotBytes(s)),
			src:   s.address + uintptr(src*k.slotBytes(s)),
			pitch: s.rows * k.row,
			width: min(n, s.rows) * k.row,
		})
	}
	return k.cuda.copy(regions, k.heads)
}

// close frees the tensors, then the memory.
func (k *kvCache) close() error {
	var errs []error
	for _, v := range k.views {
		errs = append(errs, destroy(v...))
	}
	k.views = nil
	for _, s := range k.slabs {
		if k.cuda != nil {
			errs = append(errs, k.cuda.release(s.address))
		} else {
			errs = append(errs, s.free())
		}
	}
	k.slabs = nil
	return errors.Join(errs...)
}

// destroy frees tensors; nil ones are left out.
func destroy(values ...ort.Value) error {
	var errs []error
	for _, v := range values {
		if v != nil {
			errs = append(errs, v.Destroy())
		}
	}
	return errors.Join(errs...)
}
