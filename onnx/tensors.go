package onnx

import (
	"errors"
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/engine"
)

// arena is the memory of all inputs and outputs of a run but the KV caches. Runs of every shape use the same.
type arena struct {
	contract  *Contract
	capacity  int       // length of a row of the mask: that of the KV memory, whatever is used of it, so that it never changes
	ids       []int64   // [rows, tokens]
	positions []int64   // [rows, tokens]
	mask      []int64   // [rows, capacity]: ones, then zeros
	logits    []float32 // [rows, keep, vocab]
	keep      []int64   // [1], num_logits_to_keep
	keepValue ort.Value
	memories  []memory
	ones      []int // how many ones each row of mask has
	shapes    map[shape]*tensors
}

// shape is that of a run: rows, new tokens of each, and positions of each whose logits it gives.
type shape struct{ rows, tokens, keep int }

// tensors are views of an arena in one shape.
type tensors struct{ ids, mask, positions, logits ort.Value }

// maxShapes is how many shapes keep their tensors. Decode has one for each number of rows, a prefill chunk can have any length.
const maxShapes = 256

// newArena maps memory for runs of up to slots rows of one token, or one row of up to chunk tokens, padding included.
func newArena(c *Contract, slots, chunk, capacity int) (*arena, error) {
	a := &arena{contract: c, capacity: capacity, ones: make([]int, slots), shapes: make(map[shape]*tensors)}
	width := max(slots, chunk)
	logits := width
	if c.OneRow || c.Keep {
		logits = max(slots, maxLogits+2)
	}
	var errs [6]error
	a.ids, errs[0] = reserve[int64](a, width)
	a.positions, errs[1] = reserve[int64](a, width)
	a.mask, errs[2] = reserve[int64](a, slots*capacity)
	a.logits, errs[3] = reserve[float32](a, logits*c.Vocab)
	if a.keep, errs[4] = reserve[int64](a, 1); errs[4] == nil {
		errs[5] = makeTensor(&a.keepValue, a.keep, 1)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// reserve maps memory for n numbers.
func reserve[T any](a *arena, n int) ([]T, error) {
	var t T
	m, err := mapMemory(n * int(unsafe.Sizeof(t)))
	if err != nil {
		return nil, err
	}
	a.memories = append(a.memories, m)
	return view[T](m), nil
}

// tensors returns the views of a shape.
func (a *arena) tensors(s shape) (*tensors, error) {
	if t, ok := a.shapes[s]; ok {
		return t, nil
	}
	if len(a.shapes) >= maxShapes {
		if err := a.drop(); err != nil {
			return nil, err
		}
	}
	t := new(tensors)
	err := errors.Join(
		makeTensor(&t.ids, a.ids, s.rows, s.tokens),
		makeTensor(&t.mask, a.mask, s.rows, a.capacity),
		makeTensor(&t.positions, a.positions, s.rows, s.tokens),
		makeTensor(&t.logits, a.logits, s.rows, s.keep, a.contract.Vocab),
	)
	if err != nil {
		return nil, errors.Join(err, t.destroy())
	}
	a.shapes[s] = t
	return t, nil
}

// makeTensor sets v to a tensor of these dimensions at the beginning of data.
func makeTensor[T ort.TensorData](v *ort.Value, data []T, dims ...int) error {
	n, s := 1, make(ort.Shape, 0, len(dims))
	for _, d := range dims {
		n *= d
		s = append(s, int64(d))
	}
	t, err := ort.NewTensor(s, data[:n])
	if err != nil {
		return fmt.Errorf("a tensor of %v: %w", dims, err)
	}
	*v = t
	return nil
}

// drop destroys the tensors of one prefill shape.
func (a *arena) drop() error {
	for s, t := range a.shapes {
		if s.tokens > 1 {
			delete(a.shapes, s)
			return t.destroy()
		}
	}
	return nil
}

// fill writes a batch into the inputs of a run. Padding writes KV rows only where nothing is: behind the tokens of its slot.
func (a *arena) fill(b *engine.Batch, s shape) {
	for i, r := range b.Rows {
		at := i * s.tokens
		for j := range s.tokens {
			a.ids[at+j], a.positions[at+j] = 0, int64(r.Past+j)
		}
		for j, id := range r.Tokens {
			a.ids[at+j] = int64(id)
		}
		a.setOnes(i, r.Past+s.tokens)
	}
	if n := len(b.Rows); s.rows > n {
		a.ids[n], a.positions[n] = 0, int64(b.Idle)
		a.setOnes(n, b.Idle+1)
	}
	a.keep[0] = int64(s.keep)
}

// setOnes makes row i of the mask n ones and then zeros. Only the difference to the run before is written.
func (a *arena) setOnes(i, n int) {
	row := a.mask[i*a.capacity : (i+1)*a.capacity]
	for j := a.ones[i]; j < n; j++ {
		row[j] = 1
	}
	if n < a.ones[i] {
		clear(row[n:a.ones[i]])
	}
	a.ones[i] = n
}

// take copies logits that ONNX Runtime allotted, and destroys them.
func (a *arena) take(v ort.Value) error {
	t, ok := v.(*ort.Tensor[float32])
	if !ok || len(t.GetData()) > len(a.logits) {
		return errors.Join(fmt.Errorf("logits of shape %v, want at most %d numbers", v.GetShape(), len(a.logits)), v.Destroy())
	}
	copy(a.logits, t.GetData())
	return v.Destroy()
}

// wanted returns the logits that a batch asked for, [rows, vocab].
func (a *arena) wanted(b []engine.Row, s shape) []float32 {
	v := a.contract.Vocab
	if len(b) > 1 {
		return a.logits[:len(b)*v]
	}
	end := s.keep - (s.tokens - len(b[0].Tokens)) // padding comes last
	return a.logits[(end-b[0].Logits)*v : end*v]
}

// close frees the tensors, then the memory.
func (a *arena) close() error {
	var errs []error
	for _, t := range a.shapes {
		errs = append(errs, t.destroy())
	}
	errs = append(errs, destroy(a.keepValue))
	for _, m := range a.memories {
		errs = append(errs, m.free())
	}
	*a = arena{}
	return errors.Join(errs...)
}

func (t *tensors) destroy() error { return destroy(t.ids, t.mask, t.positions, t.logits) }
