package onnx

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ortserve/onnx/graph"
)

// Contract is what a graph asks for and gives, read from its inputs and outputs.
//
//	input_ids [B,S] int64, attention_mask [B,T] int64, position_ids [B,S] int64 (optional),
//	past_key_values.N.key|value [B,KVHeads,P,HeadSize]
//	-> logits [B,S|1,Vocab], present.N.key|value
type Contract struct {
	IDs, Mask, Positions string // names of inputs; Positions is "" where the graph takes none
	Logits               string // name of an output
	KV                   []KV   // two a layer: key, then value

	KVHeads, HeadSize int
	KVType            graph.DataType // of the KV memory
	LogitsType        graph.DataType
	Vocab             int
	OneRow            bool // logits are declared for one position alone, the last
	Keep              bool // num_logits_to_keep says of how many of the last positions, whatever is declared
	PairedRows        bool // a row alone, and the last of an odd number, round otherwise than rows in pairs
	MaxPositions      int  // rows of the rotary caches: a longer mask is refused by the graph; 0 where it has no caches
}

// KV names one side of a layer's cache: the graph's input and the output that goes with it.
type KV struct{ Past, Present string }

// Hints are what the graph may leave open and the files beside it say. Zero is not known.
type Hints struct{ HeadSize, Vocab int }

// The names of the contract. Exporters agree on them; KV names have the layer between prefix and suffix.
const (
	nameIDs       = "input_ids"
	nameMask      = "attention_mask"
	namePositions = "position_ids"
	nameKeep      = "num_logits_to_keep" // int64 [1]; optional
	nameLogits    = "logits"
	prefixPast    = "past_key_values."
	prefixPresent = "present."
)

// Inspect reads the contract of the graph at path. The error names the file.
func Inspect(path string, h Hints) (*Contract, error) {
	m, err := graph.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := ReadContract(m.Graph, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return c, nil
}

// TokenBytes returns the size of the KV rows of one token, in bytes.
func (c *Contract) TokenBytes() int64 {
	return int64(len(c.KV)) * int64(c.KVHeads) * int64(c.HeadSize) * int64(c.KVType.Bits()) / 8
}

// MaxLen returns how many tokens a sequence can hold, 0 for any number: one row of the rotary caches serves padding.
func (c *Contract) MaxLen() int { return max(c.MaxPositions-1, 0) }

// ReadContract reads the contract of a graph. Its error joins one for each input or output that does not fit.
func ReadContract(g *graph.Graph, h Hints) (*Contract, error) {
	c := &Contract{HeadSize: h.HeadSize, Vocab: h.Vocab}
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	required := map[string]bool{nameIDs: true, nameMask: true}
	sides := map[string]*graph.ValueInfo{} // "0.key" -> the input
	for _, in := range g.Inputs {
		switch {
		case in.Name == nameIDs || in.Name == nameMask || in.Name == namePositions:
			if in.Type != graph.Int64 || len(in.Shape) != 2 {
				refuse("input %s is %s, want int64 of 2 dimensions", in.Name, describe(in))
			}
			delete(required, in.Name)
			if in.Name == namePositions {
				c.Positions = in.Name
			}
		case strings.HasPrefix(in.Name, prefixPast):
			sides[strings.TrimPrefix(in.Name, prefixPast)] = in
		case g.Initializer(in.Name) != nil: // optional
		default:
			refuse("input %s (%s) is not known", in.Name, describe(in))
		}
	}
	c.IDs, c.Mask = nameIDs, nameMask
	for _, name := range slices.Sorted(maps.Keys(required)) {
		refuse("there is no input %s", name)
	}
	c.readKV(g, sides, refuse)
	c.readLogits(g, refuse)
	c.readCaches(g)
	c.PairedRows = slices.ContainsFunc(g.Nodes, pairsRows)
	if len(errs) > 0 {
		return nil, fmt.Errorf("the graph does not fit: %w", errors.Join(errs...))
	}
	return c, nil
}

// readKV pairs the KV inputs with their outputs.
func (c *Contract) readKV(g *graph.Graph, sides map[string]*graph.ValueInfo, refuse func(string, ...any)) {
	if len(sides) == 0 {
		refuse("there is no input %sN.key: the graph was exported without a KV cache (optimum: --task text-generation-with-past)", prefixPast)
		return
	}
	for layer := range (len(sides) + 1) / 2 {
		for _, side := range []string{"key", "value"} {
			name := fmt.Sprintf("%d.%s", layer, side)
			in, out := sides[name], g.Output(prefixPresent+name)
			if in == nil || out == nil {
				refuse("layer %d lacks the input %s%s or the output %s%s", layer, prefixPast, name, prefixPresent, name)
				continue
			}
			if in.Type != out.Type || len(in.Shape) != 4 || len(out.Shape) != 4 {
				refuse("input %s is %s and output %s is %s, want one type and 4 dimensions", in.Name, describe(in), out.Name, describe(out))
				continue
			}
			heads, size := int(in.Shape[1].Value), int(in.Shape[3].Value)
			if size < 0 {
				size = c.HeadSize
			}
			if len(c.KV) == 0 {
				c.KVHeads, c.HeadSize, c.KVType = heads, size, in.Type
			}
			if heads <= 0 || size <= 0 || heads != c.KVHeads || size != c.HeadSize || in.Type != c.KVType {
				refuse("input %s is %s, want %d heads of %d numbers, %s", in.Name, describe(in), c.KVHeads, c.HeadSize, c.KVType)
			}
			c.KV = append(c.KV, KV{in.Name, out.Name})
		}
	}
	if c.KVType != graph.Float32 && len(c.KV) > 0 {
		refuse("the KV cache is %s, only float32 is supported", c.KVType)
	}
}

// readLogits reads the output that is sampled from.
func (c *Contract) readLogits(g *graph.Graph, refuse func(string, ...any)) {
	out := g.Output(nameLogits)
	if out == nil {
		refuse("there is no output %s", nameLogits)
		return
	}
	c.Logits, c.LogitsType = out.Name, out.Type
	if len(out.Shape) != 3 || out.Type != graph.Float32 {
		refuse("output %s is %s, want float32 of 3 dimensions", out.Name, describe(out))
		return
	}
	c.OneRow = out.Shape[1].Value == 1
	// A graph that keeps as many as it is told may still declare one, which is what onnxruntime-genai wants to read.
	if keep := g.Initializer(nameKeep); keep != nil && g.Input(nameKeep) != nil {
		c.Keep = slices.Equal(keep.Dims, []int64{1})
	}
	if v := int(out.Shape[2].Value); v > 0 {
		c.Vocab = v
	}
	if c.Vocab <= 0 {
		refuse("output %s is %s, the size of the vocabulary is said nowhere", out.Name, describe(out))
	}
}

// readCaches finds the rotary caches: inputs 7 and 8 of GroupQueryAttention, [positions, HeadSize/2].
func (c *Contract) readCaches(g *graph.Graph) {
	for _, n := range g.Nodes {
		if n.OpType != "GroupQueryAttention" || len(n.Inputs) < 8 || n.Inputs[7] == "" {
			continue
		}
		if t := g.Initializer(n.Inputs[7]); t != nil && len(t.Dims) == 2 {
			c.MaxPositions = int(t.Dims[0])
			return
		}
	}
}

// pairsRows says whether a node's kernel computes rows in pairs with another order of sums than a single row. Measured on x86-64 with
// AVX512-VNNI: at accuracy level 4 (int8 activations) 4-bit blocks of 16 and 32 and 8-bit blocks of 16 to 64 do not, all others do.
func pairsRows(n *graph.Node) bool {
	if n.OpType != "MatMulNBits" {
		return false
	}
	bits, block := n.Int("bits", 4), n.Int("block_size", 32)
	exact := bits == 4 && block <= 32 || bits == 8 && block <= 64
	return !exact || n.Int("accuracy_level", 0) != 4
}

// describe returns type and shape of v for people: "float32 [batch_size, 2, past_sequence_length, 16]".
func describe(v *graph.ValueInfo) string {
	var b strings.Builder
	b.WriteString(v.Type.String())
	b.WriteString(" [")
	for i, d := range v.Shape {
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case d.Value >= 0:
			fmt.Fprint(&b, d.Value)
		case d.Param != "":
			b.WriteString(d.Param)
		default:
			b.WriteString("?")
		}
	}
	b.WriteString("]")
	return b.String()
}
