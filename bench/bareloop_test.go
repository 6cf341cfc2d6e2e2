package bench

import (
	"errors"
	"fmt"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx"
	"ortserve/onnx/graph"
)

// bareLoop runs a shared-buffer graph with nothing around it: one sequence, past and present in the same memory.
type bareLoop struct {
	contract *onnx.Contract
	session  *ort.DynamicAdvancedSession
	kv       []ort.Value
	ids      []int64 // memory of the input of one token
	id       ort.Value
	logits   []float32 // memory of the output
	out      ort.Value
	maxLen   int
}

// newBareLoop opens the graph for a sequence of up to maxLen tokens. The environment must have been loaded.
func newBareLoop(path string, c *onnx.Contract, threads, maxLen int) (_ *bareLoop, err error) {
	if c.KVType != graph.Float32 || c.LogitsType != graph.Float32 || !c.OneRow || c.Positions != "" {
		return nil, errors.New("the loop knows float32 graphs that give the last position's logits and take no positions")
	}
	l := &bareLoop{contract: c, maxLen: maxLen, ids: make([]int64, 1), logits: make([]float32, c.Vocab)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { _ = options.Destroy() }() // always nil
	if err := errors.Join(options.SetIntraOpNumThreads(threads), options.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	in, out := []string{c.IDs, c.Mask}, []string{c.Logits}
	for _, kv := range c.KV {
		in, out = append(in, kv.Past), append(out, kv.Present)
		v, err := ort.NewEmptyTensor[float32](ort.NewShape(1, int64(c.KVHeads), int64(maxLen), int64(c.HeadSize)))
		if err != nil {
			return nil, err
		}
		l.kv = append(l.kv, v)
	}
	if l.id, err = tensor(l.ids, 1, 1); err != nil {
		return nil, err
	}
	if l.out, err = tensor(l.logits, 1, 1, c.Vocab); err != nil {
		return nil, err
	}
	l.session, err = ort.NewDynamicAdvancedSession(path, in, out, options)
	return l, err
}

// decode reads the prompt and decodes n tokens greedily. The time is that from the first token to the last.
func (l *bareLoop) decode(prompt []int32, n int) (answer []int32, took time.Duration, err error) {
	wide := make([]int64, len(prompt))
	for i, id := range prompt {
		wide[i] = int64(id)
	}
	ids, err := tensor(wide, 1, len(wide))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = ids.Destroy() }() // always nil
	ones := make([]int64, l.maxLen)
	for i := range ones {
		ones[i] = 1
	}
	if err := l.run(ids, ones[:len(prompt)]); err != nil {
		return nil, 0, err
	}
	answer = append(answer, l.argmax())
	first := time.Now()
	for len(answer) < n {
		l.ids[0] = int64(answer[len(answer)-1])
		if err := l.run(l.id, ones[:len(prompt)+len(answer)]); err != nil {
			return nil, 0, err
		}
		answer = append(answer, l.argmax())
	}
	return answer, time.Since(first), nil
}

// run runs the graph; the logits are then in l.logits.
func (l *bareLoop) run(ids ort.Value, ones []int64) error {
	mask, err := tensor(ones, 1, len(ones))
	if err != nil {
		return err
	}
	defer func() { _ = mask.Destroy() }() // always nil
	return l.session.Run(append([]ort.Value{ids, mask}, l.kv...), append([]ort.Value{l.out}, l.kv...))
}

// argmax is the lowest id of those with the largest logit.
func (l *bareLoop) argmax() int32 {
	best := 0
	for i, v := range l.logits {
		if v > l.logits[best] {
			best = i
		}
	}
	return int32(best)
}

func (l *bareLoop) close() {
	for _, v := range append([]ort.Value{l.id, l.out}, l.kv...) {
		if v != nil {
			_ = v.Destroy() // always nil
		}
	}
	if l.session != nil {
		_ = l.session.Destroy() // always nil
	}
}

// tensor is a view of data in these dimensions.
func tensor[T ort.TensorData](data []T, dims ...int) (ort.Value, error) {
	shape := make(ort.Shape, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	t, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, fmt.Errorf("a tensor of %v: %w", shape, err)
	}
	return t, nil
}
