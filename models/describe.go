package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDimension bounds every number that a configuration gives, so that products of two fit in an int.
const maxDimension = 1 << 30

// Describe reads what a model directory says of its model. Path is the directory, or the graph's file in it or in its folder onnx, which
// chooses among several graphs; see findGraph for the choice otherwise. The name is made from the directory's. Symbolic links are
// followed: the caller names the directory and answers for it.
func Describe(path string) (*Model, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("model directory %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	graph := ""
	if err == nil && info.Mode().IsRegular() && strings.HasSuffix(abs, ".onnx") {
		if abs, graph = filepath.Split(abs); filepath.Base(abs) == graphFolder && !describes(abs) {
			abs, graph = filepath.Dir(filepath.Clean(abs)), graphFolder+"/"+graph
		}
		abs = filepath.Clean(abs)
		info, err = os.Stat(abs)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no directory %s", ErrNotFound, abs)
	case err != nil:
		return nil, fmt.Errorf("model directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("model directory %s: is not a directory", abs)
	}
	return describe(files{fsys: os.DirFS(abs), dir: abs}, directoryName(filepath.Base(abs)), graph)
}

// describes says whether a directory has a description of a model.
func describes(dir string) bool {
	for _, name := range []string{fileGenai, fileConfig} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// describe reads the directory f. Graph is the graph's file in it, or empty.
func describe(f files, name, graph string) (*Model, error) {
	m := &Model{Name: name, Dir: f.dir}
	genai, err := readConfigs(f, m)
	if err != nil {
		return nil, err
	}
	if err := readTokenizerFiles(f, m); err != nil {
		return nil, err
	}
	if err := readCustom(f, m); err != nil {
		return nil, err
	}
	if graph == "" {
		if graph, err = findGraph(f, genai); err != nil {
			return nil, err
		}
	}
	m.Graph = filepath.Join(f.dir, filepath.FromSlash(graph))
	w, err := readWeights(f, graph)
	if err != nil {
		return nil, err
	}
	if w != nil {
		m.Quantization = w.quantization()
		m.ParameterSize = first(m.ParameterSize, sizeText(float64(w.total())))
	}
	parts, err := partsOf(f, graph, w)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		m.Size += p.size
		if p.modified.After(m.Modified) {
			m.Modified = p.modified
		}
	}
	if m.Digest, err = digest(f, parts); err != nil {
		return nil, err
	}
	return m, nil
}

// readConfigs fills in what genai_config.json, config.json and generation_config.json say and returns the graph's name
// in the first. genai_config.json describes the graph itself, so it goes before config.json.
func readConfigs(f files, m *Model) (graph string, err error) {
	var genai genaiConfig
	var hf hfConfig
	var gen generationConfig
	hasGenai, err := f.readJSON(fileGenai, &genai)
	if err != nil {
		return "", err
	}
	hasHF, err := f.readJSON(fileConfig, &hf)
	if err != nil {
		return "", err
	}
	if _, err := f.readJSON(fileGeneration, &gen); err != nil {
		return "", err
	}
	if !hasGenai && !hasHF {
		return "", fmt.Errorf("model directory %s: has neither %s nor %s", f.dir, fileGenai, fileConfig)
	}
	g, d := genai.Model, genai.Model.Decoder

	m.Architecture = first(g.Type, hf.ModelType)
	m.Family = m.Architecture
	m.ContextLength = first(g.ContextLength, hf.Positions)
	m.Vocab = first(g.Vocab, hf.Vocab)
	m.Layers = first(d.Layers, hf.Layers)
	m.Heads = first(d.Heads, hf.Heads)
	m.KVHeads = first(d.KVHeads, hf.KVHeads, m.Heads)
	m.Hidden = first(d.Hidden, hf.Hidden)
	m.HeadSize = first(d.HeadSize, hf.HeadSize)
	if m.HeadSize == 0 && m.Heads > 0 {
		m.HeadSize = m.Hidden / m.Heads
	}
	m.Inputs, m.Outputs = d.Inputs, d.Outputs
	m.BOS = -1
	for _, ids := range []tokenIDs{hf.BOS, g.BOS} {
		if len(ids) > 0 {
			m.BOS = ids[0]
			break
		}
	}
	for _, id := range slices.Concat(g.EOS, gen.EOS, hf.EOS) {
		if !slices.Contains(m.EOS, id) {
			m.EOS = append(m.EOS, id)
		}
	}
	m.Generation = gen.over(genai.Search)
	if hasHF {
		m.ParameterSize = parameterSize(hf, m)
	}

	file := fileConfig
	if hasGenai {
		file = fileGenai
	}
	return d.Filename, checkDimensions(f, file, m)
}

// checkDimensions refuses numbers that are missing or that no model has.
func checkDimensions(f files, file string, m *Model) error {
	if m.Architecture == "" {
		return f.fail(file, errors.New("does not say the type of the model"))
	}
	for _, c := range []struct {
		what string
		v    int
	}{
		{"context length", m.ContextLength},
		{"vocabulary size", m.Vocab},
		{"number of layers", m.Layers},
		{"number of attention heads", m.Heads},
		{"number of key and value heads", m.KVHeads},
		{"hidden size", m.Hidden},
		{"head size", m.HeadSize},
	} {
		switch {
		case c.v == 0:
			return f.fail(file, fmt.Errorf("does not say the %s", c.what))
		case c.v < 0 || c.v > maxDimension:
			return f.fail(file, fmt.Errorf("says that the %s is %d", c.what, c.v))
		}
	}
	if m.Heads%m.KVHeads != 0 {
		return f.fail(file, fmt.Errorf("says that %d attention heads share %d key and value heads; they do not divide",
			m.Heads, m.KVHeads))
	}
	for _, id := range append([]int32{m.BOS}, m.EOS...) {
		if int(id) >= m.Vocab {
			return f.fail(file, fmt.Errorf("names token %d, the vocabulary has %d", id, m.Vocab))
		}
	}
	return nil
}

// readTokenizerFiles fills in what tokenizer_config.json and chat_template.jinja say. tokenizer.json itself is read by
// package tokenize; here it must be there.
func readTokenizerFiles(f files, m *Model) error {
	ok, err := f.regular(fileTokenizer)
	if err != nil {
		return err
	}
	if !ok {
		return f.fail(fileTokenizer, os.ErrNotExist)
	}
	var tc tokenizerConfig
	has, err := f.readJSON(fileTokenizerConfig, &tc)
	if err != nil {
		return err
	}
	m.BOSToken, m.EOSToken = string(tc.BOS), string(tc.EOS)
	if has && m.BOSToken == "" {
		m.BOS = -1 // what a configuration says was invented by its exporter
	}
	m.ChatTemplate = string(tc.Template)
	text, ok, err := f.read(fileTemplate, maxTemplateBytes)
	if err != nil {
		return err
	}
	if ok {
		m.ChatTemplate = string(text)
	}
	return nil
}

// parameterSize counts the weights of a Llama-like model: "135M", "1.2B". Empty where config.json does not say enough.
func parameterSize(hf hfConfig, m *Model) string {
	if hf.Intermediate <= 0 || hf.Intermediate > maxDimension || m.Hidden <= 0 {
		return ""
	}
	h, kv := float64(m.Hidden), float64(m.KVHeads)*float64(m.HeadSize)
	q := float64(m.Heads) * float64(m.HeadSize)
	layer := 2*h*q + 2*h*kv + 3*h*float64(hf.Intermediate) + 2*h
	embeddings := 2.0
	if hf.Tied != nil && *hf.Tied {
		embeddings = 1
	}
	n := embeddings*float64(m.Vocab)*h + float64(m.Layers)*layer + h
	return sizeText(n)
}

// sizeText writes a number of weights as people do.
func sizeText(n float64) string {
	switch {
	case n < 1:
		return ""
	case n >= 10e9:
		return fmt.Sprintf("%.0fB", n/1e9)
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0fM", n/1e6)
	default:
		return fmt.Sprintf("%.0fK", n/1e3)
	}
}

// first returns the first value that is not zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
