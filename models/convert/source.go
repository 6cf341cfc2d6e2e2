package convert

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/llama"
)

// source is a model to import: its shape, and its tensors with their shapes checked.
type source struct {
	architecture    string // as config.json names it: llama, mistral, qwen2 or qwen3
	config          llama.Config
	embedding, head *tensor // the same where tied
	norm            *tensor
	layers          []layer
	tied            bool
	files           []string // whose digests the manifest has

	// What an architecture has beside Llama's own tensors.
	qkvBias, outputBias, headNorms bool

	// interleaved says that the two rows of a rotary pair are neighbours in query and key matrices, as GGUF has them for
	// Llama. Else all first rows of a head's pairs come before all second ones.
	interleaved bool
}

// layer is the tensors of a layer; those that the architecture has not are nil.
type layer struct {
	inputNorm, postNorm                       *tensor
	query, key, value, output                 *tensor
	queryBias, keyBias, valueBias, outputBias *tensor
	queryNorm, keyNorm                        *tensor
	gate, up, down                            *tensor
}

// tensor is a matrix in a source's file; a vector is one row.
type tensor struct {
	name         string
	kind         gguf.Type // how values are stored: the types of other formats are among GGUF's
	rows, length int
	read         func(dst []byte, row int) error // rows from row on, as the file has them, until dst is full
}

// rowBytes is the number of bytes of a row.
func (t *tensor) rowBytes() int {
	values, bytes := t.kind.Block()
	return t.length / values * bytes
}

// values returns all values of a tensor that is small.
func (t *tensor) values() ([]float32, error) {
	raw := make([]byte, t.rows*t.rowBytes())
	if err := t.read(raw, 0); err != nil {
		return nil, err
	}
	out := make([]float32, t.rows*t.length)
	t.kind.Dequantize(out, raw)
	return out, nil
}

// names are what a format calls the tensors. Those of a layer follow its prefix; each is followed by .weight or .bias.
type names struct {
	embedding, norm, head     string
	layer                     string // a format with the layer's number
	inputNorm, postNorm       string
	query, key, value, output string
	queryNorm, keyNorm        string
	gate, up, down            string
}

// finder finds tensors by name and collects what is wrong with them.
type finder struct {
	// find returns the tensor called name, and what its shape is in the format's own words; nil where there is none.
	find func(name string) (t *tensor, shape string, err error)
	// want is the shape of a matrix in the format's own words.
	want func(rows, length int) string
	used map[string]bool
	errs []error
}

// take returns the matrix called name.
func (f *finder) take(name string, rows, length int) *tensor {
	f.used[name] = true
	t, shape, err := f.find(name)
	switch {
	case err != nil:
		f.errs = append(f.errs, err)
	case t == nil:
		f.errs = append(f.errs, fmt.Errorf("tensor %q is missing", name))
	case t.rows != rows || t.length != length:
		f.errs = append(f.errs, fmt.Errorf("tensor %q has the shape %s, %s is expected", name, shape, f.want(rows, length)))
	}
	return t
}

// readTensors finds every tensor of the model.
func (s *source) readTensors(f *finder, n names) error {
	c := s.config
	heads, kv := c.Heads*c.HeadSize, c.KVHeads*c.HeadSize
	s.embedding = f.take(n.embedding+".weight", c.Vocab, c.Hidden)
	s.norm = f.take(n.norm+".weight", 1, c.Hidden)
	s.head = s.embedding
	if !s.tied {
		s.head = f.take(n.head+".weight", c.Vocab, c.Hidden)
	}
	const enough = 100 // errors: a file of another kind has the same fault in every layer
	for i := 0; i < c.Layers && len(f.errs) < enough; i++ {
		p := fmt.Sprintf(n.layer, i)
		l := layer{
			inputNorm: f.take(p+n.inputNorm+".weight", 1, c.Hidden),
			query:     f.take(p+n.query+".weight", heads, c.Hidden),
			key:       f.take(p+n.key+".weight", kv, c.Hidden),
			value:     f.take(p+n.value+".weight", kv, c.Hidden),
			output:    f.take(p+n.output+".weight", c.Hidden, heads),
			postNorm:  f.take(p+n.postNorm+".weight", 1, c.Hidden),
			gate:      f.take(p+n.gate+".weight", c.Intermediate, c.Hidden),
			up:        f.take(p+n.up+".weight", c.Intermediate, c.Hidden),
			down:      f.take(p+n.down+".weight", c.Hidden, c.Intermediate),
		}
		if s.qkvBias {
			l.queryBias = f.take(p+n.query+".bias", 1, heads)
			l.keyBias = f.take(p+n.key+".bias", 1, kv)
			l.valueBias = f.take(p+n.value+".bias", 1, kv)
		}
		if s.outputBias {
			l.outputBias = f.take(p+n.output+".bias", 1, c.Hidden)
		}
		if s.headNorms {
			l.queryNorm = f.take(p+n.queryNorm+".weight", 1, c.HeadSize)
			l.keyNorm = f.take(p+n.keyNorm+".weight", 1, c.HeadSize)
		}
		s.layers = append(s.layers, l)
	}
	return firstFew(f.errs)
}

// unknown refuses the first of the names that no one took.
func (f *finder) unknown(all []string) error {
	for _, name := range all {
		if !f.used[name] {
			return fmt.Errorf("tensor %q is not known, and leaving it out might change the model's answers", name)
		}
	}
	return nil
}

// products are the types of all matrices of the layers.
func (s *source) products() []gguf.Type {
	var types []gguf.Type
	for _, l := range s.layers {
		for _, t := range []*tensor{l.query, l.key, l.value, l.output, l.gate, l.up, l.down} {
			types = append(types, t.kind)
		}
	}
	return types
}

// firstFew joins errors, but not hundreds: a file of another type has the same fault in every tensor.
func firstFew(errs []error) error {
	const few = 3
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > few {
		more := len(errs) - few
		errs = append(errs[:few:few], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

// shortest is the double that prints as the float32 does: 0.1f is stored as 0.10000000149, and means 0.1.
func shortest(v float64) float64 {
	if float64(float32(v)) != v {
		return v
	}
	s, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return s
}
