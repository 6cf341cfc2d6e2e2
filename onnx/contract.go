package onnx

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ortserve/onnx/graph"
)

// Contract is what a graph asks for and gives, read from its inputs, outputs and nodes.
//
//	input_ids [B,S] int64, attention_mask [B,T] int64, position_ids [B,S] int64 (optional),
//	past_key_values.N.key|value [B,KVHeads,P,HeadSize], use_cache_branch [1] bool (merged decoders)
//	-> logits [B,S|1,Vocab], present.N.key|value [B,KVHeads,P',HeadSize]
//
// P' is P+S, or the length of the buffer where past and present are one.
type Contract struct {
	IDs, Mask, Positions string // names of inputs; Positions is "" where the graph takes none
	Keep                 string // name of the input that says of how many of the last positions logits are given; "" where there is none
	Branch               string // name of the input that says whether there is a past; "" where there is none
	Logits               string // name of an output
	KV                   []KV   // two a layer: key, then value

	KVHeads, HeadSize int            // HeadSize counts elements of KVType: two numbers of 4 bits are one
	KVType            graph.DataType // of the KV memory: float32, float16, bfloat16, int8 or uint8
	HalfKV            bool           // KVType is float32, or was, and may be float16 where kernels of ours compute attention, see For
	LogitsType        graph.DataType // float32, float16 or bfloat16
	Vocab             int
	OneRow            bool // logits are declared for one position alone, the last
	KeepScalar        bool // Keep has no dimension, else one of 1

	SharesBuffer     bool // it has GroupQueryAttention, so past and present are likely to be one buffer; the probe at load tells
	Quantized        bool // weights are of few bits (MatMulNBits)
	PairedRows       bool // a row alone, and the last of an odd number, round otherwise than rows in pairs
	WholeTensorScale bool // activations are quantized with one scale for all rows of a run, so what runs together changes the answer
	MaxPositions     int  // rows of the rotary caches: a longer mask is refused by the graph; 0 where it has no caches
	TwoTables        bool // it has another rotary cache for longer texts, which is not used

	paged bool
}

// KV names one side of a layer's cache: the graph's input and the output that goes with it.
type KV struct {
	Past, Present string
	Window        int // rows that the cache needs at least where it may wrap; 0 where it holds the whole sequence
}

// Hints are what the graph may leave open and the files beside it say. Zero is not known.
type Hints struct {
	KVHeads, HeadSize, Vocab int
	// Inputs and Outputs are names by the keys of genai_config.json: input_ids, past_key_names (with %d for the layer), …
	Inputs, Outputs map[string]string
}

// The names of the contract, on which exporters agree; genai_config.json may say others. %d is the layer.
const (
	nameIDs       = "input_ids"
	nameMask      = "attention_mask"
	namePositions = "position_ids"
	nameKeep      = "num_logits_to_keep" // int64, [1] or a scalar; optional if there is an initializer
	nameBranch    = "use_cache_branch"   // bool [1]: optimum's and transformers.js' merged decoders
	nameLogits    = "logits"
)

// maxDimension bounds every dimension that a graph gives, so that products of two fit in an int.
const maxDimension = 1 << 30

// maxKV bounds the numbers of one token in one side of one layer.
const maxKV = 1 << 20

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

// MaxLen returns how many tokens a sequence can hold, 0 for any number: one row of the rotary caches serves padding.
func (c *Contract) MaxLen() int { return max(c.MaxPositions-1, 0) }

// reading is a contract that is being read.
type reading struct {
	*Contract
	graph *graph.Graph
	hints Hints
	errs  []error
}

// ReadContract reads the contract of a graph. Its error joins one for each input or output that does not fit.
func ReadContract(g *graph.Graph, h Hints) (*Contract, error) {
	r := reading{Contract: &Contract{Vocab: h.Vocab}, graph: g, hints: h}
	r.readKV(r.readInputs())
	r.readLogits()
	r.Contract.readOperators(g)
	r.readHalf(g)
	if r.paged {
		r.errs = slices.Insert(r.errs, 0, errors.New("it has PagedAttention, which keeps its cache in blocks: "+
			"only a cache [batch, heads, length, size] is supported (onnxruntime-genai's builder: without use_paged_attention)"))
	}
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("the graph does not fit: %w", errors.Join(r.errs...))
	}
	return r.Contract, nil
}

// refuse notes what does not fit.
func (r *reading) refuse(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// named returns what genai_config.json calls the key, or the usual name.
func named(names map[string]string, key, usual string) string {
	if n := names[key]; n != "" {
		return n
	}
	return usual
}

// layer is one layer's sides of the cache: key and value.
type layer [2]*graph.ValueInfo

// readInputs finds the inputs. It returns those of the cache, by layer.
func (r *reading) readInputs() map[int]*layer {
	in := r.hints.Inputs
	r.IDs, r.Mask = named(in, nameIDs, nameIDs), named(in, nameMask, nameMask)
	positions := named(in, namePositions, namePositions)
	patterns := []string{
		named(in, "past_key_names", "past_key_values.%d.key"),
		named(in, "past_value_names", "past_key_values.%d.value"),
	}
	layers := map[int]*layer{}
	found := map[string]bool{}
	for _, v := range r.graph.Inputs {
		found[v.Name] = true
		switch v.Name {
		case r.IDs, r.Mask, positions:
			if v.Type != graph.Int64 || len(v.Shape) != 2 {
				r.refuse("input %s is %s, want int64 of 2 dimensions", v.Name, describe(v))
			}
			if v.Name == positions {
				r.Positions = v.Name
			}
			continue
		case nameKeep:
			r.readKeep(v)
			continue
		case nameBranch:
			if v.Type != graph.Bool || len(v.Shape) != 1 {
				r.refuse("input %s is %s, want bool of 1 dimension", v.Name, describe(v))
			}
			r.Branch = v.Name
			continue
		}
		side, n := slices.IndexFunc(patterns, func(p string) bool { return layerOf(p, v.Name) >= 0 }), 0
		switch {
		case side >= 0:
			if n = layerOf(patterns[side], v.Name); layers[n] == nil {
				layers[n] = new(layer)
			}
			layers[n][side] = v
		case r.graph.Initializer(v.Name) == nil: // with one it is optional
			r.refuse("input %s (%s) is not known", v.Name, describe(v))
		}
	}
	if !found[r.IDs] && found["inputs_embeds"] {
		r.refuse("there is no input %s, but inputs_embeds: the graph lacks its embedding (onnxruntime-genai's builder: without exclude_embeds)", r.IDs)
	} else if !found[r.IDs] {
		r.refuse("there is no input %s", r.IDs)
	}
	if !found[r.Mask] {
		r.refuse("there is no input %s", r.Mask)
	}
	return layers
}

// readKeep reads the input that says of how many positions logits are wanted.
func (r *reading) readKeep(v *graph.ValueInfo) {
	scalar := v.HasShape && len(v.Shape) == 0
	if v.Type != graph.Int64 || len(v.Shape) > 1 || len(v.Shape) == 1 && v.Shape[0].Value > 1 {
		if r.graph.Initializer(v.Name) == nil {
			r.refuse("input %s is %s, want int64 [1] or a scalar", v.Name, describe(v))
		}
		return
	}
	if t := r.graph.Initializer(v.Name); t != nil {
		scalar = len(t.Dims) == 0
	}
	r.Keep, r.KeepScalar = v.Name, scalar
}

// layerOf returns the number of the layer in a name of this pattern, -1 where it is none.
func layerOf(pattern, name string) int {
	prefix, suffix, ok := strings.Cut(pattern, "%d")
	if !ok || len(name) < len(prefix)+len(suffix) || !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, suffix) {
		return -1
	}
	digits := name[len(prefix) : len(name)-len(suffix)]
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || strconv.Itoa(n) != digits {
		return -1
	}
	return n
}

// kvTypes are the types that KV memory may have. Nothing here reads or writes one: bytes are moved.
var kvTypes = []graph.DataType{graph.Float32, graph.Float16, graph.BFloat16, graph.Int8, graph.Uint8}

// readKV pairs the KV inputs with their outputs.
func (r *reading) readKV(layers map[int]*layer) {
	if len(layers) == 0 {
		r.refuse("there is no input past_key_values.N.key: the graph was exported without a KV cache (optimum: --task text-generation-with-past)")
		return
	}
	patterns := []string{
		named(r.hints.Outputs, "present_key_names", "present.%d.key"),
		named(r.hints.Outputs, "present_value_names", "present.%d.value"),
	}
	packed := slices.ContainsFunc(r.graph.Nodes, func(n *graph.Node) bool { return n.Int("kv_cache_bit_width", 0) == 4 })
	for _, n := range slices.Sorted(maps.Keys(layers)) {
		for side, in := range layers[n] {
			name := strings.Replace(patterns[side], "%d", strconv.Itoa(n), 1)
			out := r.graph.Output(name)
			if in == nil || out == nil {
				r.refuse("layer %d lacks the input of its %s or the output %s", n, []string{"key", "value"}[side], name)
				continue
			}
			if in.Type != out.Type || len(in.Shape) != 4 || len(out.Shape) != 4 {
				r.refuse("input %s is %s and output %s is %s, want one type and 4 dimensions", in.Name, describe(in), out.Name, describe(out))
				continue
			}
			r.addKV(in, out, packed)
		}
	}
	if len(r.KV) > 0 && !slices.Contains(kvTypes, r.KVType) {
		r.refuse("the KV cache is %s, want float32, float16, bfloat16, int8 or uint8", r.KVType)
	}
}

// addKV adds one side of a layer's cache. Packed says that an open last dimension counts pairs of 4-bit numbers.
func (r *reading) addKV(in, out *graph.ValueInfo, packed bool) {
	heads, size := in.Shape[1].Value, in.Shape[3].Value
	if heads < 0 {
		heads = int64(r.hints.KVHeads)
	}
	if size < 0 {
		size = int64(r.hints.HeadSize)
		if packed && in.Type == graph.Uint8 {
			size /= 2
		}
	}
	if heads <= 0 || size <= 0 || heads > maxKV || size > maxKV || heads*size > maxKV {
		r.refuse("input %s is %s, want numbers of heads and of their size (genai_config.json, config.json: head_size)", in.Name, describe(in))
		return
	}
	if len(r.KV) == 0 {
		r.KVHeads, r.HeadSize, r.KVType = int(heads), int(size), in.Type
	}
	if int(heads) != r.KVHeads || int(size) != r.HeadSize || in.Type != r.KVType {
		r.refuse("input %s is %s, want %d heads of %d numbers, %s, as in the first layer", in.Name, describe(in), r.KVHeads, r.HeadSize, r.KVType)
	}
	r.KV = append(r.KV, KV{Past: in.Name, Present: out.Name})
}

// readLogits reads the output that is sampled from.
func (r *reading) readLogits() {
	name := named(r.hints.Outputs, nameLogits, nameLogits)
	out := r.graph.Output(name)
	if out == nil {
		r.refuse("there is no output %s", name)
		return
	}
	r.Logits, r.LogitsType = out.Name, out.Type
	if len(out.Shape) != 3 || out.Type != graph.Float32 && out.Type != graph.Float16 && out.Type != graph.BFloat16 {
		r.refuse("output %s is %s, want float32, float16 or bfloat16 of 3 dimensions", out.Name, describe(out))
		return
	}
	r.OneRow = out.Shape[1].Value == 1
	if v := out.Shape[2].Value; v > 0 {
		r.Vocab = int(min(v, maxDimension+1))
	}
	if r.Vocab <= 0 || r.Vocab > maxDimension {
		r.refuse("output %s is %s, the size of the vocabulary is said nowhere", out.Name, describe(out))
	}
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
