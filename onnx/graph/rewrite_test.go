package graph

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRewrite: what is not changed stays to the byte, also fields that are not read.
func TestRewrite(t *testing.T) {
	m := &Model{IRVersion: 8, Opsets: []Opset{{Version: 17}}, Graph: &Graph{
		Name:         "g",
		Nodes:        []*Node{{OpType: "A", Inputs: []string{"x"}, Outputs: []string{"y"}}, {OpType: "B", Inputs: []string{"y"}, Outputs: []string{"z"}}},
		Initializers: []*Tensor{Int64Tensor("t", nil, 1), Int64Tensor("u", nil, 2)},
	}}
	b := appendBytes(m.Marshal(), 25, "a function, which is not read")
	got, err := Rewrite(b, Changes{})
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("without changes: %v, %q, want %q", err, got, b)
	}
	got, err = Rewrite(b, Changes{
		Node: func(n *Node) *Node {
			if n.OpType != "B" {
				return nil
			}
			return &Node{OpType: "C", Domain: "d", Inputs: n.Inputs, Outputs: n.Outputs}
		},
		Initializer: func(x *Tensor) *Tensor {
			if x.Name != "t" {
				return nil
			}
			return &Tensor{Name: "t", Type: Int64, External: &External{Location: "f", Length: 8}}
		},
		Uses: []Opset{{"d", 1}, {"", 99}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte("a function, which is not read")) {
		t.Error("what is not read is lost")
	}
	read, err := Read(got)
	if err != nil {
		t.Fatal(err)
	}
	want := *m.Graph
	want.Nodes = []*Node{want.Nodes[0], {OpType: "C", Domain: "d", Inputs: []string{"y"}, Outputs: []string{"z"}}}
	want.Initializers = []*Tensor{{Name: "t", Type: Int64, External: &External{Location: "f", Length: 8}}, want.Initializers[1]}
	if diff := cmp.Diff(&want, read.Graph); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Equal(read.Opsets, []Opset{{"", 17}, {"d", 1}}) {
		t.Errorf("opsets %v", read.Opsets)
	}
	if _, err := Rewrite(b[:len(b)-3], Changes{}); err == nil {
		t.Error("a file that is cut is taken")
	}
}
