package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
)

const (
	maxFile  = math.MaxInt32 // protobuf's own limit on a message
	maxDepth = 16            // graphs inside attributes of nodes of graphs …
	maxItems = 1 << 20       // nodes, initializers, values or attributes in one list
)

// ReadFile reads the model in a file. It is held in memory whole while it is read; values in external files are not read.
func ReadFile(path string) (*Model, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, an ONNX file has at most %d (larger models keep their weights in external files)", path, st.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := Read(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Read reads a model from the bytes of its file. Tensors' Raw may point into b.
func Read(b []byte) (*Model, error) {
	m := &Model{}
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			m.IRVersion, err = x.integer()
		case 2:
			m.ProducerName, err = x.text()
		case 3:
			m.ProducerVersion, err = x.text()
		case 7:
			m.Graph, err = one(x, readGraph, maxDepth)
		case 8:
			err = push(&m.Opsets, x, readOpset)
		case 14:
			err = push(&m.Metadata, x, readEntry)
		}
		return wrap(err, "model")
	})
	if err != nil {
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	if m.Graph == nil {
		return nil, errors.New("not a readable ONNX model: it has no graph")
	}
	return m, nil
}

func wrap(err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// one reads a field that is a message which may hold graphs, depth levels of them.
func one[T any](x field, read func([]byte, int) (T, error), depth int) (T, error) {
	b, err := x.message()
	if err != nil {
		var none T
		return none, err
	}
	return read(b, depth)
}

// push reads a field that is one element of a list of messages.
func push[T any](list *[]T, x field, read func([]byte) (T, error)) error {
	return pushDeep(list, x, func(b []byte, _ int) (T, error) { return read(b) }, 0)
}

func pushDeep[T any](list *[]T, x field, read func([]byte, int) (T, error), depth int) error {
	if len(*list) >= maxItems {
		return fmt.Errorf("field %d has more than %d elements", x.num, maxItems)
	}
	v, err := one(x, read, depth)
	if err != nil {
		return err
	}
	*list = append(*list, v)
	return nil
}

func pushText(list *[]string, x field) error {
	if len(*list) >= maxItems {
		return fmt.Errorf("field %d has more than %d elements", x.num, maxItems)
	}
	s, err := x.text()
	*list = append(*list, s)
	return err
}

func readOpset(b []byte) (o Opset, err error) {
	err = fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			o.Domain, err = x.text()
		case 2:
			o.Version, err = x.integer()
		}
		return err
	})
	return o, wrap(err, "opset")
}

func readEntry(b []byte) (e Entry, err error) {
	err = fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			e.Key, err = x.text()
		case 2:
			e.Value, err = x.text()
		}
		return err
	})
	return e, wrap(err, "entry")
}

func readGraph(b []byte, depth int) (*Graph, error) {
	if depth == 0 {
		return nil, fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	g := &Graph{}
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			err = wrap(pushDeep(&g.Nodes, x, readNode, depth), "node "+strconv.Itoa(len(g.Nodes)))
		case 2:
			g.Name, err = x.text()
		case 5:
			err = wrap(push(&g.Initializers, x, readTensor), "initializer "+strconv.Itoa(len(g.Initializers)))
		case 11:
			err = wrap(push(&g.Inputs, x, readValue), "input")
		case 12:
			err = wrap(push(&g.Outputs, x, readValue), "output")
		case 13:
			err = wrap(push(&g.Values, x, readValue), "value")
		}
		return err
	})
	return g, wrap(err, "graph")
}

func readNode(b []byte, depth int) (*Node, error) {
	n := &Node{}
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			err = pushText(&n.Inputs, x)
		case 2:
			err = pushText(&n.Outputs, x)
		case 3:
			n.Name, err = x.text()
		case 4:
			n.OpType, err = x.text()
		case 5:
			err = pushDeep(&n.Attributes, x, readAttribute, depth)
		case 7:
			n.Domain, err = x.text()
		}
		return err
	})
	return n, err
}

func readAttribute(b []byte, depth int) (*Attribute, error) {
	a := &Attribute{}
	var floats []byte
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			a.Name, err = x.text()
		case 2:
			if x.kind != kindFixed32 {
				return x.wrong("a float")
			}
			a.Float = math.Float32frombits(uint32(x.u))
		case 3:
			a.Int, err = x.integer()
		case 4:
			a.String, err = x.text()
		case 5:
			a.Tensor, err = one(x, func(b []byte, _ int) (*Tensor, error) { return readTensor(b) }, depth)
		case 6:
			a.Graph, err = one(x, readGraph, depth-1)
		case 7:
			floats, err = x.fixed(floats, 4)
		case 8:
			err = x.integers(func(v int64) { a.Ints = append(a.Ints, v) })
		case 9:
			err = pushText(&a.Strings, x)
		case 10:
			err = push(&a.Tensors, x, readTensor)
		case 11:
			err = pushDeep(&a.Graphs, x, readGraph, depth-1)
		case 20:
			var v int64
			v, err = x.integer()
			a.Type = AttributeType(v)
		}
		return err
	})
	for ; len(floats) > 0; floats = floats[4:] {
		a.Floats = append(a.Floats, math.Float32frombits(binary.LittleEndian.Uint32(floats)))
	}
	if a.Type < AttributeUndefined || a.Type > AttributeOther {
		a.Type = AttributeOther
	}
	if err == nil && (a.Type == AttributeTensor && a.Tensor == nil || a.Type == AttributeGraph && a.Graph == nil) {
		err = errors.New("has a type but no value")
	}
	return a, wrap(err, "attribute "+strconv.Quote(a.Name))
}

func readValue(b []byte) (*ValueInfo, error) {
	v := &ValueInfo{}
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			v.Name, err = x.text()
		case 2:
			if b, err = x.message(); err == nil {
				err = readType(b, v)
			}
		}
		return err
	})
	return v, err
}

func readType(b []byte, v *ValueInfo) error {
	return fields(b, func(x field) error {
		switch x.num {
		case 1:
			v.Kind = KindTensor
			b, err := x.message()
			if err != nil {
				return err
			}
			return readTensorType(b, v)
		case 4:
			v.Kind = KindSequence
		case 5:
			v.Kind = KindMap
		case 8:
			v.Kind = KindSparse
		case 9:
			v.Kind = KindOptional
		}
		return nil
	})
}

func readTensorType(b []byte, v *ValueInfo) error {
	return fields(b, func(x field) error {
		switch x.num {
		case 1:
			t, err := x.integer()
			v.Type = DataType(t)
			return err
		case 2:
			v.HasShape, v.Shape = true, []Dim{}
			b, err := x.message()
			if err != nil {
				return err
			}
			return fields(b, func(x field) error {
				if x.num != 1 {
					return nil
				}
				return push(&v.Shape, x, readDim)
			})
		}
		return nil
	})
}

func readDim(b []byte) (Dim, error) {
	d := Dim{Value: -1}
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			d.Value, err = x.integer()
		case 2:
			d.Param, err = x.text()
		}
		return err
	})
	return d, err
}
