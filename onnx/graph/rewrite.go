package graph

import "fmt"

// Changes are what Rewrite does to the main graph of a model: the functions return what takes the place of a node, an initializer or
// a value (inputs, outputs, and what is said of those between), nil for what stays. Uses are opsets that new nodes need.
type Changes struct {
	Node        func(*Node) *Node
	Initializer func(*Tensor) *Tensor
	Value       func(*ValueInfo) *ValueInfo
	Uses        []Opset // added where the model does not name their domain
}

// Rewrite returns the bytes of a model whose file is b, with changes to its main graph. All else stays as it is to the byte, also what this
// package does not read.
func Rewrite(b []byte, c Changes) ([]byte, error) {
	out := make([]byte, 0, len(b)+len(b)/8)
	named := map[string]bool{}
	err := fields(b, func(x field) error {
		switch x.num {
		case 7:
			g, err := rewriteGraph(x, c)
			if err != nil {
				return err
			}
			out = appendBytes(out, 7, g)
			return nil
		case 8:
			o, err := one(x, func(b []byte, _ int) (Opset, error) { return readOpset(b) }, 0)
			if err != nil {
				return err
			}
			named[o.Domain] = true
		}
		out = x.append(out)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	for _, o := range c.Uses {
		if !named[o.Domain] {
			out = appendBytes(out, 8, o.marshal())
		}
	}
	return out, nil
}

func rewriteGraph(x field, c Changes) ([]byte, error) {
	b, err := x.message()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b)+len(b)/8)
	err = fields(b, func(x field) error {
		switch {
		case x.num == 1 && c.Node != nil:
			n, err := one(x, readNode, maxDepth)
			if err != nil {
				return err
			}
			if n = c.Node(n); n != nil {
				out = appendBytes(out, 1, n.marshal())
				return nil
			}
		case x.num == 5 && c.Initializer != nil:
			t, err := one(x, func(b []byte, _ int) (*Tensor, error) { return readTensor(b) }, maxDepth)
			if err != nil {
				return err
			}
			if t = c.Initializer(t); t != nil {
				out = appendBytes(out, 5, t.marshal())
				return nil
			}
		case x.num >= 11 && x.num <= 13 && c.Value != nil:
			v, err := one(x, func(b []byte, _ int) (*ValueInfo, error) { return readValue(b) }, 0)
			if err != nil {
				return err
			}
			if v = c.Value(v); v != nil {
				out = appendBytes(out, int(x.num), v.marshal())
				return nil
			}
		}
		out = x.append(out)
		return nil
	})
	return out, err
}
