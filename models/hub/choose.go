package hub

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// form is how a repository keeps a model.
type form int

const (
	formONNX        form = iota // a graph, taken as it is
	formSafetensors             // imported
	formGGUF                    // imported
)

// pick is a file to download and its name in the model's directory.
type pick struct {
	file  File
	local string
}

// choice is what of a repository makes a model.
type choice struct {
	form  form
	label string // for people: "onnx/model_q4.onnx"
	picks []pick
	main  string // of formGGUF: the local name of the (first) file
	bits  int    // of an import: what the reference asks for; 0 chooses
}

// described are the files that describe a model, wherever its graph lies.
var described = []string{
	"genai_config.json", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
	"special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
}

// choose finds the files of the form that quant names: part of a folder's or a graph's name ("cpu-int4", "q4", "fp16"), a GGUF file's
// type ("Q4_K_M"), or for an import "4bit", "8bit", "fp16", "fp32". "" takes what suits a CPU best: a graph of 4 bits, then of 8, then
// the full one; else safetensors; else a GGUF file, of 4 bits if there is one. The error lists what there is.
func choose(files []File, quant string) (*choice, error) {
	byPath := map[string]File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	r := listing{files, byPath}
	graphs, ggufs := r.graphs(), r.ggufs()
	shards := r.safetensors()
	switch {
	case quant == "" && len(graphs) > 0:
		return r.onnx(best(graphs, graphOrder)), nil
	case quant == "" && shards != nil:
		return r.imported(shards, 0), nil
	case quant == "" && len(ggufs) > 0:
		return r.gguf(best(ggufs, ggufOrder)), nil
	}
	if quant != "" {
		if g := named(graphs, quant); g != "" {
			return r.onnx(g), nil
		}
		if bits, ok := importBits[strings.ToLower(quant)]; ok && shards != nil {
			return r.imported(shards, bits), nil
		}
		if g := named(ggufs, quant); g != "" {
			return r.gguf(g), nil
		}
	}
	var have []string
	have = append(have, graphs...)
	have = append(have, ggufs...)
	if shards != nil {
		have = append(have, "safetensors (as 4bit, 8bit, fp16 or fp32)")
	}
	if len(have) == 0 {
		return nil, errors.New("it holds no model: neither an ONNX graph nor safetensors nor a GGUF file")
	}
	return nil, fmt.Errorf("it has nothing called %q, but %s", clip(quant), clip(strings.Join(have, ", ")))
}

// importBits are the forms that an import can be asked for.
var importBits = map[string]int{"4bit": 4, "int4": 4, "q4": 4, "8bit": 8, "int8": 8, "q8": 8, "fp16": 16, "f16": 16, "fp32": 32, "f32": 32}

// listing is a repository's files.
type listing struct {
	all    []File
	byPath map[string]File
}

// graphs returns the paths of the graphs of language models: what lies beside a genai_config.json, or in the root or in onnx/, as
// optimum and transformers.js write it. Parts of models with several graphs are none.
func (r listing) graphs() []string {
	var list []string
	for _, f := range r.all {
		dir, base := path.Split(f.Path)
		if !strings.HasSuffix(base, ".onnx") {
			continue
		}
		_, genai := r.byPath[dir+"genai_config.json"]
		if genai || (dir == "" || dir == "onnx/") && (strings.HasPrefix(base, "model") || strings.HasPrefix(base, "decoder_model_merged")) {
			list = append(list, f.Path)
		}
	}
	return list
}

func (r listing) ggufs() []string {
	var list []string
	for _, f := range r.all {
		if n := shardOf.FindStringSubmatch(f.Path); n != nil && n[2] != "00001" || !strings.HasSuffix(f.Path, ".gguf") {
			continue
		}
		if base := strings.ToLower(path.Base(f.Path)); !strings.Contains(base, "mmproj") {
			list = append(list, f.Path)
		}
	}
	return list
}

// shardOf matches a file of a split GGUF model.
var shardOf = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// safetensors returns the weights in the root.
func (r listing) safetensors() []File {
	var list []File
	for _, f := range r.all {
		if strings.HasSuffix(f.Path, ".safetensors") && !strings.Contains(f.Path, "/") && !strings.HasPrefix(f.Path, "consolidated") {
			list = append(list, f)
		}
	}
	return list
}

// graphOrder and ggufOrder say what is best where the reference does not: the first pattern that matches a path.
var (
	graphOrder = []string{
		`cpu.*int4.*acc-level-4`, `cpu.*int4`, `cpu.*/model\.onnx`, `model_q4\.onnx`, `model_quantized\.onnx`, `model_int8\.onnx`,
		`(^|/)model\.onnx`, `decoder_model_merged`, `model_fp16\.onnx`, `model_q4f16\.onnx`, `.`,
	}
	ggufOrder = []string{`(?i)q4_k_m`, `(?i)q4_0`, `(?i)q4_`, `(?i)q8_0`, `(?i)q5`, `(?i)q6`, `(?i)bf?16`, `.`}
)

func best(paths, order []string) string {
	for _, pattern := range order {
		re := regexp.MustCompile(pattern)
		if i := slices.IndexFunc(paths, re.MatchString); i >= 0 {
			return paths[i]
		}
	}
	return paths[0]
}

// named returns the one path that has the word: between separators, in any case. "fp32" is the graph without a suffix.
func named(paths []string, word string) string {
	re := regexp.MustCompile(`(?i)(^|[/_.-])` + regexp.QuoteMeta(word) + `($|[/_.-])`)
	for _, p := range paths {
		if re.MatchString(p) {
			return p
		}
	}
	if strings.EqualFold(word, "fp32") {
		return named(slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return path.Base(p) != "model.onnx" }), "model")
	}
	return ""
}

// onnx chooses a graph, its data, and what describes it. What lies beside a genai_config.json comes from that folder alone.
func (r listing) onnx(graph string) *choice {
	c := &choice{form: formONNX, label: graph}
	dir, base := path.Split(graph)
	flat := false
	if _, ok := r.byPath[dir+"genai_config.json"]; ok {
		flat = true
	}
	for _, f := range r.all {
		d, b := path.Split(f.Path)
		switch {
		case d == dir && (b == base || strings.HasPrefix(b, base) || strings.HasPrefix(b, strings.TrimSuffix(base, ".onnx")+".data")):
			local := f.Path
			if flat {
				local = b
			}
			c.picks = append(c.picks, pick{f, local})
		case d == dir && flat && (slices.Contains(described, b) || strings.HasSuffix(b, ".data")):
			c.picks = append(c.picks, pick{f, b})
		}
	}
	c.describe(r)
	return c
}

// describe adds the files of the root that describe the model, unless the choice has ones of their names, and the licence.
func (c *choice) describe(r listing) {
	for _, f := range r.all {
		licence := strings.HasPrefix(strings.ToUpper(f.Path), "LICEN") || strings.HasPrefix(strings.ToUpper(f.Path), "NOTICE")
		if strings.Contains(f.Path, "/") || !licence && !slices.Contains(described, f.Path) {
			continue
		}
		if !slices.ContainsFunc(c.picks, func(p pick) bool { return p.local == f.Path }) {
			c.picks = append(c.picks, pick{f, f.Path})
		}
	}
}

func (r listing) imported(shards []File, bits int) *choice {
	c := &choice{form: formSafetensors, label: "safetensors", bits: bits}
	for _, f := range shards {
		c.picks = append(c.picks, pick{f, f.Path})
	}
	if f, ok := r.byPath["model.safetensors.index.json"]; ok {
		c.picks = append(c.picks, pick{f, f.Path})
	}
	c.describe(r)
	return c
}

// gguf chooses a GGUF file, with the files that it is split into.
func (r listing) gguf(file string) *choice {
	c := &choice{form: formGGUF, label: file, main: path.Base(file)}
	n := shardOf.FindStringSubmatch(file)
	for _, f := range r.all {
		m := shardOf.FindStringSubmatch(f.Path)
		if f.Path == file || n != nil && m != nil && m[1] == n[1] && m[3] == n[3] {
			c.picks = append(c.picks, pick{f, path.Base(f.Path)})
		}
	}
	return c
}
