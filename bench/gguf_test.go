package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
	"ortserve/models/convert/safetensors"
)

// ggufNames are GGUF's names of what a checkpoint calls otherwise.
var ggufNames = strings.NewReplacer(
	"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
	"post_attention_layernorm", "ffn_norm", "input_layernorm", "attn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
	"self_attn.v_proj", "attn_v", "self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
	"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
)

const ggufBFloat16 = 30 // of enum ggml_type

// writeGGUF writes the checkpoint in a folder as a GGUF file of the same values.
func writeGGUF(t testing.TB, c testmodel.Checkpoint, dir, path string) {
	t.Helper()
	folder, err := safetensors.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	g := testmodel.Config{}.GGUF("smollm")
	g.Tensors = nil
	for key, value := range g.Metadata {
		if rest, ok := strings.CutPrefix(key, "llama."); ok {
			delete(g.Metadata, key)
			g.Metadata[c.Type+"."+rest] = value
		}
	}
	for key, value := range map[string]int{
		"context_length": c.Positions, "embedding_length": c.Hidden, "block_count": c.Layers, "feed_forward_length": c.Intermediate,
		"attention.head_count": c.Heads, "attention.head_count_kv": c.KVHeads, "attention.key_length": c.HeadSize,
		"attention.value_length": c.HeadSize, "rope.dimension_count": c.HeadSize, "vocab_size": c.Vocab,
	} {
		g.Metadata[c.Type+"."+key] = uint32(value)
	}
	g.Metadata["general.architecture"] = c.Type
	tokens, types := g.Metadata["tokenizer.ggml.tokens"].([]string), g.Metadata["tokenizer.ggml.token_type"].([]int32)
	for len(tokens) < c.Vocab {
		tokens, types = append(tokens, fmt.Sprintf("<unused %d>", len(tokens))), append(types, 1)
	}
	g.Metadata["tokenizer.ggml.tokens"], g.Metadata["tokenizer.ggml.token_type"] = tokens, types

	names := folder.Names()
	sizes := make([]int, len(names))
	for i, name := range names {
		from := folder.Tensor(name)
		dims := []uint64{uint64(from.RowLength())}
		if strings.Contains(name, "proj") || strings.Contains(name, "embed") || strings.Contains(name, "lm_head") {
			dims = append(dims, uint64(from.Rows()))
		}
		sizes[i] = int(2 * from.RowLength() * from.Rows())
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{Name: ggufNames.Replace(name), Dims: dims, Type: ggufBFloat16})
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	_, _ = w.Write(g.Header(sizes)) // the writer keeps its error
	for i, name := range names {
		from := folder.Tensor(name)
		order := rowOrder(c, name, int(from.Rows()))
		row := make([]byte, 2*from.RowLength())
		for _, j := range order {
			if err := from.Read(row, j); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(row)
		}
		_, _ = w.Write(make([]byte, -sizes[i]&31))
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// rowOrder is that of a matrix's rows: in the query and key matrices of Llama models GGUF has the two rows of a rotary pair side by side.
func rowOrder(c testmodel.Checkpoint, name string, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
		if c.Type == "llama" && (strings.Contains(name, "q_proj") || strings.Contains(name, "k_proj")) {
			head, at := i/c.HeadSize*c.HeadSize, i%c.HeadSize
			order[i] = head + at%2*c.HeadSize/2 + at/2
		}
	}
	return slices.Clip(order)
}
