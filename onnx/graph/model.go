package graph

import (
	"fmt"
	"math"
)

// Model is a ModelProto.
type Model struct {
	IRVersion       int64
	ProducerName    string
	ProducerVersion string
	Opsets          []Opset
	Metadata        []Entry // metadata_props
	Graph           *Graph
}

// Opset says which version of a domain's operators the model uses; the domain of ONNX's own operators is "".
type Opset struct {
	Domain  string
	Version int64
}

// Entry is a StringStringEntryProto: a key and its value.
type Entry struct {
	Key, Value string
}

// Graph is a GraphProto. Nodes are in an order in which every value is made before it is used.
type Graph struct {
	Name         string
	Nodes        []*Node
	Initializers []*Tensor
	Inputs       []*ValueInfo // an input with an initializer of its name is optional
	Outputs      []*ValueInfo
	Values       []*ValueInfo // value_info: types of values in between, where the exporter wrote them
}

// Initializer returns the initializer called name, or nil.
func (g *Graph) Initializer(name string) *Tensor {
	for _, t := range g.Initializers {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Input returns the graph input called name, or nil.
func (g *Graph) Input(name string) *ValueInfo { return find(g.Inputs, name) }

// Output returns the graph output called name, or nil.
func (g *Graph) Output(name string) *ValueInfo { return find(g.Outputs, name) }

func find(values []*ValueInfo, name string) *ValueInfo {
	for _, v := range values {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// Node is a NodeProto: one operator. An input or output that is left out is "".
type Node struct {
	Name, OpType, Domain string
	Inputs, Outputs      []string
	Attributes           []*Attribute
}

// Attribute returns the node's attribute called name, or nil.
func (n *Node) Attribute(name string) *Attribute {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Input returns the name of input i, "" where the node leaves it out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Int returns the integer attribute called name, or missing where the node has none.
func (n *Node) Int(name string, missing int64) int64 {
	if a := n.Attribute(name); a != nil && a.Type == AttributeInt {
		return a.Int
	}
	return missing
}

// AttributeType is AttributeProto.AttributeType.
type AttributeType int32

// The types of attributes. Those of sparse tensors and of types are read as [AttributeOther], without their value.
const (
	AttributeUndefined AttributeType = 0
	AttributeFloat     AttributeType = 1
	AttributeInt       AttributeType = 2
	AttributeString    AttributeType = 3
	AttributeTensor    AttributeType = 4
	AttributeGraph     AttributeType = 5
	AttributeFloats    AttributeType = 6
	AttributeInts      AttributeType = 7
	AttributeStrings   AttributeType = 8
	AttributeTensors   AttributeType = 9
	AttributeGraphs    AttributeType = 10
	AttributeOther     AttributeType = 11
)

// Attribute is an AttributeProto; Type says which of the other fields counts.
type Attribute struct {
	Name    string
	Type    AttributeType
	Float   float32
	Int     int64
	String  string
	Tensor  *Tensor
	Graph   *Graph
	Floats  []float32
	Ints    []int64
	Strings []string
	Tensors []*Tensor
	Graphs  []*Graph
}

// Int makes an attribute that is an integer.
func Int(name string, v int64) *Attribute {
	return &Attribute{Name: name, Type: AttributeInt, Int: v}
}

// Float makes an attribute that is a float.
func Float(name string, v float32) *Attribute {
	return &Attribute{Name: name, Type: AttributeFloat, Float: v}
}

// String makes an attribute that is a text.
func String(name, v string) *Attribute {
	return &Attribute{Name: name, Type: AttributeString, String: v}
}

// Ints makes an attribute that is a list of integers.
func Ints(name string, v ...int64) *Attribute {
	return &Attribute{Name: name, Type: AttributeInts, Ints: v}
}

// ValueInfo is a ValueInfoProto: the name and type of a value.
type ValueInfo struct {
	Name     string
	Kind     Kind
	Type     DataType // of the elements, where Kind is KindTensor
	Shape    []Dim
	HasShape bool // false: not even the number of dimensions is known
}

// Kind is what sort of value a ValueInfo describes.
type Kind int

// The kinds of values. All that a language model's graph has are tensors.
const (
	KindUnknown Kind = iota
	KindTensor
	KindSequence
	KindMap
	KindOptional
	KindSparse
)

// Dim is one dimension: a number, or a name (Param), or neither, which is unknown. Value is -1 where it is no number.
type Dim struct {
	Value int64
	Param string
}

// Value makes the ValueInfo of a tensor. Each dimension is an int, an int64 or a string (its name).
func Value(name string, t DataType, shape ...any) *ValueInfo {
	v := &ValueInfo{Name: name, Kind: KindTensor, Type: t, HasShape: true, Shape: []Dim{}}
	for _, d := range shape {
		switch d := d.(type) {
		case int:
			v.Shape = append(v.Shape, Dim{Value: int64(d)})
		case int64:
			v.Shape = append(v.Shape, Dim{Value: d})
		case string:
			v.Shape = append(v.Shape, Dim{Value: -1, Param: d})
		default:
			v.Shape = append(v.Shape, Dim{Value: -1})
		}
	}
	return v
}

// DataType is TensorProto.DataType.
type DataType int32

// The element types.
const (
	Undefined  DataType = 0
	Float32    DataType = 1
	Uint8      DataType = 2
	Int8       DataType = 3
	Uint16     DataType = 4
	Int16      DataType = 5
	Int32      DataType = 6
	Int64      DataType = 7
	StringType DataType = 8
	Bool       DataType = 9
	Float16    DataType = 10
	Float64    DataType = 11
	Uint32     DataType = 12
	Uint64     DataType = 13
	Complex64  DataType = 14
	Complex128 DataType = 15
	BFloat16   DataType = 16
	Float8E4M3 DataType = 17
	Uint4      DataType = 21
	Int4       DataType = 22
	Float4E2M1 DataType = 23
	Uint2      DataType = 25
	Int2       DataType = 26
)

var typeNames = map[DataType]string{
	Undefined: "undefined", Float32: "float32", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16",
	Int32: "int32", Int64: "int64", StringType: "string", Bool: "bool", Float16: "float16", Float64: "float64",
	Uint32: "uint32", Uint64: "uint64", Complex64: "complex64", Complex128: "complex128", BFloat16: "bfloat16",
	Float8E4M3: "float8e4m3fn", Uint4: "uint4", Int4: "int4", Float4E2M1: "float4e2m1", Uint2: "uint2", Int2: "int2",
}

func (t DataType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Bits is the size of one element in bits, 0 for strings and types this package does not know.
func (t DataType) Bits() int {
	switch t {
	case Complex128:
		return 128
	case Int64, Uint64, Float64, Complex64:
		return 64
	case Float32, Int32, Uint32:
		return 32
	case Float16, BFloat16, Int16, Uint16:
		return 16
	case Uint8, Int8, Bool, Float8E4M3, 18, 19, 20, 24:
		return 8
	case Uint4, Int4, Float4E2M1:
		return 4
	case Uint2, Int2:
		return 2
	}
	return 0
}

// bytesOf is the number of bytes that a tensor of these dimensions takes.
func bytesOf(t DataType, dims []int64) (int64, error) {
	bits := int64(t.Bits())
	if bits == 0 {
		return 0, fmt.Errorf("elements of %v have no fixed size", t)
	}
	n := int64(1)
	for _, d := range dims {
		if d < 0 {
			return 0, fmt.Errorf("dimension %d in %v is negative", d, dims)
		}
		if d != 0 && n > math.MaxInt64/256/d {
			return 0, fmt.Errorf("dimensions %v are too large", dims)
		}
		n *= d
	}
	return (n*bits + 7) / 8, nil
}
