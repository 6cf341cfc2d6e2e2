package safetensors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// metadata is the key of the header that is no tensor.
const metadata = "__metadata__"

// parse reads a header: a JSON object with a tensor a key. Tensors come in the order of their bytes, places from the header's
// end on.
func parse(header []byte) ([]*Tensor, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("is not a safetensors file: its header is no JSON object")
	}
	var tensors []*Tensor
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, damaged(err)
		}
		name := token.(string) // the decoder takes nothing else for a key
		if seen[name] {
			return nil, fmt.Errorf("damaged: two tensors are called %q", clip(name))
		}
		seen[name] = true
		if name == metadata {
			var m map[string]string
			if err := d.Decode(&m); err != nil {
				return nil, damaged(err)
			}
			continue
		}
		t, err := entry(d, name)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return nil, damaged(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) { // blanks may fill the header up
		return nil, errors.New("damaged: the header goes on after its end")
	}
	slices.SortStableFunc(tensors, func(a, b *Tensor) int { return cmp.Compare(a.offset, b.offset) })
	return tensors, nil
}

// entry reads the description of a tensor.
func entry(d *json.Decoder, name string) (*Tensor, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	var e struct {
		DType   *string  `json:"dtype"`
		Shape   *[]int64 `json:"shape"`
		Offsets *[]int64 `json:"data_offsets"`
	}
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("damaged: tensor %q: %w", name, err)
	}
	if e.DType == nil || e.Shape == nil || e.Offsets == nil || len(*e.Offsets) != 2 {
		return nil, fmt.Errorf("damaged: tensor %q lacks its type, its shape or its two offsets", name)
	}
	from, to := (*e.Offsets)[0], (*e.Offsets)[1]
	if from < 0 || to < from {
		return nil, fmt.Errorf("damaged: tensor %q takes bytes [%d, %d)", name, from, to)
	}
	t := &Tensor{Name: name, DType: clip(*e.DType), Shape: *e.Shape, offset: from, bytes: to - from}
	return t, t.check()
}

// checkName refuses names that no model has: they go into error messages and names of graph nodes.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("damaged: a tensor is called %q", clip(name))
	}
	return nil
}

func damaged(err error) error { return fmt.Errorf("damaged: the header is no JSON: %w", err) }

func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
