package graph

import "fmt"

// Rewrite returns the bytes of a model whose file is b, with nodes of its main graph replaced: each by what replace returns for it, nil for
// the node as it is. All else stays as it is to the byte, also what this package does not read. Uses are opsets that replaced nodes need;
// they are added where the model does not name their domain.
func Rewrite(b []byte, replace func(*Node) *Node, uses ...Opset) ([]byte, error) {
	out := make([]byte, 0, len(b)+len(b)/8)
	named := map[string]bool{}
	err := fields(b, func(x field) error {
		switch x.num {
		case 7:
			g, err := rewriteGraph(x, replace)
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
	for _, o := range uses {
		if !named[o.Domain] {
			out = appendBytes(out, 8, o.marshal())
		}
	}
	return out, nil
}

func rewriteGraph(x field, replace func(*Node) *Node) ([]byte, error) {
	b, err := x.message()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b)+len(b)/8)
	err = fields(b, func(x field) error {
		if x.num == 1 {
			n, err := one(x, readNode, maxDepth)
			if err != nil {
				return err
			}
			if n = replace(n); n != nil {
				out = appendBytes(out, 1, n.marshal())
				return nil
			}
		}
		out = x.append(out)
		return nil
	})
	return out, err
}
