package models

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// graphNames are the names under which exporters write a graph, in the order in which one is chosen: onnxruntime-genai
// and optimum write model.onnx, optimum's quantizer model_quantized.onnx, optimum before 1.14 decoder_model_merged.onnx, transformers.js all
// of them. The exact one comes first; then 4 bits, which are fast on a processor; then what quantizes activations; then float16, which is
// slow there.
var graphNames = []string{
	"model.onnx", "decoder_model_merged.onnx",
	"model_q4.onnx", "decoder_model_merged_q4.onnx",
	"model_quantized.onnx", "decoder_model_merged_quantized.onnx", "model_int8.onnx", "model_uint8.onnx",
	"model_fp16.onnx", "model_q4f16.onnx", "model_bnb4.onnx",
}

// graphFolder is where repositories on hubs keep graphs, beside the configuration.
const graphFolder = "onnx"

// graphFolders are where graphs are, in that order.
var graphFolders = []string{".", graphFolder}

// findGraph returns the graph's file relative to the directory: what genai_config.json says (configured), else the first of graphNames that
// is there, else the only *.onnx.
func findGraph(f files, configured string) (string, error) {
	if configured != "" {
		if !fs.ValidPath(configured) || strings.ContainsAny(configured, `\:`) {
			return "", f.fail(fileGenai, fmt.Errorf("names the graph %q, which is not a file in the directory", clip(configured)))
		}
		ok, err := f.regular(configured)
		if err == nil && !ok {
			err = f.fail(configured, fmt.Errorf("%w, and %s names it as the graph", fs.ErrNotExist, fileGenai))
		}
		return configured, err
	}
	for _, name := range graphNames {
		for _, folder := range graphFolders {
			p := path.Join(folder, name)
			if ok, err := f.regular(p); err != nil || ok {
				return p, err
			}
		}
	}
	return loneGraph(f)
}

// loneGraph returns the only *.onnx of the directory.
func loneGraph(f files) (string, error) {
	var found []string
	for _, folder := range graphFolders {
		entries, err := fs.ReadDir(f.fsys, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", f.fail(folder, err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".onnx") {
				continue
			}
			p := path.Join(folder, e.Name())
			ok, err := f.regular(p) // or a link to one, as in caches of huggingface_hub
			if err != nil {
				return "", err
			}
			if ok {
				found = append(found, p)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("model directory %s: has no graph (model.onnx)", f.dir)
	default:
		return "", fmt.Errorf("model directory %s: has %d graphs (%s), none of them called model.onnx", f.dir, len(found),
			clip(strings.Join(found, ", ")))
	}
}
