package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// kvCache is the KV memory of a graph: one slab a layer and side, [slots+1, heads, capacity, head size] in the graph's type.
// The last slot is scratch, for exchanging two others. The pages of a slab exist only once they are written.
type kvCache struct {
	slabs    []memory
	heads    int
	capacity int // positions of a slot
	row      int // bytes of one position of one head
	headSize int
	dtype    ort.TensorElementDataType
	views    map[rows][]ort.Value // tensors over slots, one a slab
}

// rows is a range of slots.
type rows struct{ first, n int }

// newKVCache maps the memory.
func newKVCache(slabs, slots, heads, capacity, headSize int, dtype ort.TensorElementDataType, elementSize int) (*kvCache, error) {
	k := &kvCache{
		heads: heads, capacity: capacity, row: headSize * elementSize, headSize: headSize,
		dtype: dtype, views: make(map[rows][]ort.Value),
	}
	for range slabs {
		m, err := mapMemory((slots + 1) * k.slotBytes())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("KV memory: %w", err), k.close())
		}
		k.slabs = append(k.slabs, m)
	}
	return k, nil
}

// slotBytes is the size of a slot in one slab.
func (k *kvCache) slotBytes() int { return k.heads * k.capacity * k.row }

// view returns tensors [n, heads, capacity, head size] over slots [first, first+n), one a slab. They are made once.
func (k *kvCache) view(r rows) ([]ort.Value, error) {
	if v, ok := k.views[r]; ok {
		return v, nil
	}
	values := make([]ort.Value, 0, len(k.slabs))
	shape := ort.NewShape(int64(r.n), int64(k.heads), int64(k.capacity), int64(k.headSize))
	for _, slab := range k.slabs {
		from := r.first * k.slotBytes()
		t, err := ort.NewCustomDataTensor(shape, slab[from:from+r.n*k.slotBytes()], k.dtype)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("a view of %d slots: %w", r.n, err), destroy(values...))
		}
		values = append(values, t)
	}
	k.views[r] = values
	return values, nil
}

// copy copies the first n positions of slot src to slot dst.
func (k *kvCache) copy(dst, src, n int) {
	head := k.capacity * k.row
	for _, slab := range k.slabs {
		d, s := slab[dst*k.slotBytes():], slab[src*k.slotBytes():]
		for h := range k.heads {
			copy(d[h*head:h*head+n*k.row], s[h*head:])
		}
	}
}

// close frees the tensors, then the memory.
func (k *kvCache) close() error {
	var errs []error
	for _, v := range k.views {
		errs = append(errs, destroy(v...))
	}
	k.views = nil
	for _, m := range k.slabs {
		errs = append(errs, m.free())
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
