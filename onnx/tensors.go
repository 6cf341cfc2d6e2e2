package onnx

import (
	"errors"
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/engine"
	"ortserve/onnx/graph"
)

// arena is the memory of all inputs and outputs of a run but the KV caches. Runs of every shape use the same.
type arena struct {
	contract  *Contract
	width     int       // length of a row of the mask in runs that share the KV buffer: that of the longest cache, so that it never changes
	ids       []int64   // [rows, tokens]
	positions []int64   // [rows, tokens]
	mask      []int64   // [rows, width]
	logits    memory    // [rows, keep, vocab] in the graph's type
	floats    []float32 // the logits that were asked for; where the graph's are float32 it is not used
	keep      []int64   // [1]: of how many of the last positions the graph gives logits; nil where that is a scalar, or not an input
	keepValue ort.Value // keep, or the scalar
	branch    []bool    // [1]: there is a past
	branchVal ort.Value
	memories  []memory
	ones      []int // how many ones each row of mask has, where nothing else is in it
	shapes    map[shape]*tensors
}

// shape is that of a run: rows, new tokens of each, positions of each whose logits it gives, and the length of the mask.
type shape struct{ rows, tokens, keep, mask int }

// tensors are views of an arena in one shape.
type tensors struct{ ids, mask, positions, logits ort.Value }

// maxShapes is how many shapes keep their tensors. Decode has one for each number of rows, a prefill chunk can have any length.
const maxShapes = 256

// newArena maps memory for runs of up to slots rows of one token, or one row of up to chunk tokens, padding included. A row of the mask
// has at most width numbers.
func newArena(c *Contract, slots, chunk, width int) (*arena, error) {
	a := &arena{contract: c, width: width, ones: make([]int, slots), shapes: make(map[shape]*tensors)}
	tokens := max(slots, chunk)
	few := max(slots, maxLogits+2) // rows of logits that are read after a run
	logits := tokens
	if c.OneRow || c.Keep != "" {
		logits = few
	}
	var errs [7]error
	a.ids, errs[0] = reserve[int64](a, tokens)
	a.positions, errs[1] = reserve[int64](a, tokens)
	a.mask, errs[2] = reserve[int64](a, slots*width)
	a.logits, errs[3] = reserve[byte](a, logits*c.Vocab*c.LogitsType.Bits()/8)
	if c.LogitsType != graph.Float32 {
		a.floats, errs[4] = reserve[float32](a, few*c.Vocab)
	}
	if c.Keep != "" && !c.KeepScalar {
		if a.keep, errs[5] = reserve[int64](a, 1); errs[5] == nil {
			errs[5] = makeTensor(&a.keepValue, a.keep, 1)
		}
	}
	if c.Branch != "" {
		if a.branch, errs[6] = reserve[bool](a, 1); errs[6] == nil {
			errs[6] = makeTensor(&a.branchVal, a.branch, 1)
		}
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

// tensors returns the views of a shape, which are kept.
func (a *arena) tensors(s shape) (*tensors, error) {
	if t, ok := a.shapes[s]; ok {
		return t, nil
	}
	if len(a.shapes) >= maxShapes {
		if err := a.drop(); err != nil {
			return nil, err
		}
	}
	t, err := a.create(s)
	if err != nil {
		return nil, err
	}
	a.shapes[s] = t
	return t, nil
}

// create returns views of a shape, for the caller to destroy.
func (a *arena) create(s shape) (*tensors, error) {
	t := new(tensors)
	err := errors.Join(
		makeTensor(&t.ids, a.ids, s.rows, s.tokens),
		makeTensor(&t.mask, a.mask, s.rows, s.mask),
		makeTensor(&t.positions, a.positions, s.rows, s.tokens),
		a.makeLogits(&t.logits, s),
	)
	if err != nil {
		return nil, errors.Join(err, t.destroy())
	}
	return t, nil
}

// makeLogits sets v to a tensor of the logits in the graph's type.
func (a *arena) makeLogits(v *ort.Value, s shape) error {
	n := s.rows * s.keep * a.contract.Vocab
	if a.contract.LogitsType == graph.Float32 {
		return makeTensor(v, view[float32](a.logits[:n*4]), s.rows, s.keep, a.contract.Vocab)
	}
	dims := ort.NewShape(int64(s.rows), int64(s.keep), int64(a.contract.Vocab))
	t, err := ort.NewCustomDataTensor(dims, a.logits[:n*a.contract.LogitsType.Bits()/8], elementType(a.contract.LogitsType))
	if err != nil {
		return fmt.Errorf("logits of %v: %w", dims, err)
	}
	*v = t
	return nil
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

// fill writes the tokens of a batch, and their positions, into the inputs of a run. Padding writes KV rows only where nothing is: behind
// the tokens of its slot. The mask is the caller's.
func (a *arena) fill(b *engine.Batch, s shape) error {
	for i, r := range b.Rows {
		at := i * s.tokens
		for j := range s.tokens {
			a.ids[at+j], a.positions[at+j] = 0, int64(r.Past+j)
		}
		for j, id := range r.Tokens {
			a.ids[at+j] = int64(id)
		}
	}
	if n := len(b.Rows); s.rows > n {
		a.ids[n], a.positions[n] = 0, int64(b.Idle)
	}
	if a.branch != nil {
		a.branch[0] = b.Rows[0].Past > 0
	}
	switch {
	case a.keep != nil:
		a.keep[0] = int64(s.keep)
	case a.contract.KeepScalar:
		if err := a.setScalar(int64(s.keep)); err != nil {
			return err
		}
	}
	return nil
}

// setScalar makes keepValue a scalar. The binding's cannot be changed once they are made.
func (a *arena) setScalar(v int64) error {
	if old, ok := a.keepValue.(*ort.Scalar[int64]); ok {
		if old.GetData() == v {
			return nil
		}
		if err := old.Destroy(); err != nil {
			return err
		}
		a.keepValue = nil
	}
	t, err := ort.NewScalar(v)
	if err != nil {
		return fmt.Errorf("%s: %w", a.contract.Keep, err)
	}
	a.keepValue = t
	return nil
}

// setOnes makes row i of the mask n ones and then zeros. Only the difference to the run before is written.
func (a *arena) setOnes(i, n int) {
	row := a.mask[i*a.width : (i+1)*a.width]
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
	if !ok || len(t.GetData()) > len(a.logits)/4 {
		return errors.Join(fmt.Errorf("logits of shape %v, want at most %d numbers", v.GetShape(), len(a.logits)/4), v.Destroy())
	}
	copy(view[float32](a.logits), t.GetData())
	return v.Destroy()
}

// wanted returns the logits that a batch asked for, [rows, vocab]. Those of float32 are where the run wrote them.
func (a *arena) wanted(b []engine.Row, s shape) ([]float32, error) {
	v := a.contract.Vocab
	from, to := 0, len(b)*v
	if len(b) == 1 {
		to = (s.keep - (s.tokens - len(b[0].Tokens))) * v // padding comes last
		from = to - b[0].Logits*v
	}
	size := a.contract.LogitsType.Bits() / 8
	if a.contract.LogitsType == graph.Float32 {
		return view[float32](a.logits)[from:to], nil
	}
	if from == to {
		return nil, nil
	}
	dst := a.floats[:to-from]
	return dst, widen(dst, a.logits[from*size:to*size], a.contract.LogitsType)
}

// close frees the tensors, then the memory.
func (a *arena) close() error {
	var errs []error
	for _, t := range a.shapes {
		errs = append(errs, t.destroy())
	}
	errs = append(errs, destroy(a.keepValue, a.branchVal))
	for _, m := range a.memories {
		errs = append(errs, m.free())
	}
	*a = arena{}
	return errors.Join(errs...)
}

func (t *tensors) destroy() error { return destroy(t.ids, t.mask, t.positions, t.logits) }
