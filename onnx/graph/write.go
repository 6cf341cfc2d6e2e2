package graph

import (
	"fmt"
	"os"
	"strconv"
)

// WriteFile writes the model's own file; external files are written beside it, see [DataFile].
func (m *Model) WriteFile(path string) error {
	b := m.Marshal()
	if len(b) > maxFile {
		return fmt.Errorf("%s: %d bytes, an ONNX file has at most %d: keep weights in an external file", path, len(b), maxFile)
	}
	return os.WriteFile(path, b, 0o644)
}

// Marshal returns the bytes of the model's file. The same model gives the same bytes.
func (m *Model) Marshal() []byte {
	var b []byte
	b = appendInteger(b, 1, m.IRVersion)
	b = appendText(b, 2, m.ProducerName)
	b = appendText(b, 3, m.ProducerVersion)
	if m.Graph != nil {
		b = appendBytes(b, 7, m.Graph.marshal())
	}
	for _, o := range m.Opsets {
		b = appendBytes(b, 8, o.marshal())
	}
	for _, e := range m.Metadata {
		b = appendBytes(b, 14, e.marshal())
	}
	return b
}

func (o Opset) marshal() []byte { return appendInteger(appendText(nil, 1, o.Domain), 2, o.Version) }

func (e Entry) marshal() []byte {
	return appendBytes(appendBytes(nil, 1, e.Key), 2, e.Value)
}

func (g *Graph) marshal() []byte {
	var b []byte
	for _, n := range g.Nodes {
		b = appendBytes(b, 1, n.marshal())
	}
	b = appendText(b, 2, g.Name)
	for _, t := range g.Initializers {
		b = appendBytes(b, 5, t.marshal())
	}
	for _, v := range g.Inputs {
		b = appendBytes(b, 11, v.marshal())
	}
	for _, v := range g.Outputs {
		b = appendBytes(b, 12, v.marshal())
	}
	for _, v := range g.Values {
		b = appendBytes(b, 13, v.marshal())
	}
	return b
}

func (n *Node) marshal() []byte {
	var b []byte
	for _, s := range n.Inputs {
		b = appendBytes(b, 1, s)
	}
	for _, s := range n.Outputs {
		b = appendBytes(b, 2, s)
	}
	b = appendText(b, 3, n.Name)
	b = appendText(b, 4, n.OpType)
	for _, a := range n.Attributes {
		b = appendBytes(b, 5, a.marshal())
	}
	return appendText(b, 7, n.Domain)
}

func (a *Attribute) marshal() []byte {
	b := appendText(nil, 1, a.Name)
	switch a.Type {
	case AttributeFloat:
		b = appendFloat(b, 2, a.Float)
	case AttributeInt:
		b = appendInteger(b, 3, a.Int)
	case AttributeString:
		b = appendBytes(b, 4, a.String)
	case AttributeTensor:
		b = appendBytes(b, 5, a.Tensor.marshal())
	case AttributeGraph:
		b = appendBytes(b, 6, a.Graph.marshal())
	case AttributeFloats:
		for _, v := range a.Floats {
			b = appendFloat(b, 7, v)
		}
	case AttributeInts:
		for _, v := range a.Ints {
			b = appendInteger(b, 8, v)
		}
	case AttributeStrings:
		for _, v := range a.Strings {
			b = appendBytes(b, 9, v)
		}
	case AttributeTensors:
		for _, v := range a.Tensors {
			b = appendBytes(b, 10, v.marshal())
		}
	case AttributeGraphs:
		for _, v := range a.Graphs {
			b = appendBytes(b, 11, v.marshal())
		}
	}
	return appendInteger(b, 20, int64(a.Type))
}

func (v *ValueInfo) marshal() []byte {
	b := appendText(nil, 1, v.Name)
	if v.Kind != KindTensor {
		return b
	}
	t := appendInteger(nil, 1, int64(v.Type))
	if v.HasShape {
		var shape []byte
		for _, d := range v.Shape {
			var dim []byte
			switch {
			case d.Param != "":
				dim = appendBytes(dim, 2, d.Param)
			case d.Value >= 0:
				dim = appendInteger(dim, 1, d.Value)
			}
			shape = appendBytes(shape, 1, dim)
		}
		t = appendBytes(t, 2, shape)
	}
	return appendBytes(b, 2, appendBytes(nil, 1, t))
}

func (t *Tensor) marshal() []byte {
	var b []byte
	for _, d := range t.Dims {
		b = appendInteger(b, 1, d)
	}
	b = appendInteger(b, 2, int64(t.Type))
	for _, s := range t.Strings {
		b = appendBytes(b, 6, s)
	}
	b = appendText(b, 8, t.Name)
	if t.External == nil {
		if t.Type == StringType {
			return b
		}
		return appendBytes(b, 9, t.Raw)
	}
	b = appendBytes(b, 13, Entry{"location", t.External.Location}.marshal())
	b = appendBytes(b, 13, Entry{"offset", strconv.FormatInt(t.External.Offset, 10)}.marshal())
	if t.External.Length >= 0 {
		b = appendBytes(b, 13, Entry{"length", strconv.FormatInt(t.External.Length, 10)}.marshal())
	}
	return appendInteger(b, 14, 1)
}
