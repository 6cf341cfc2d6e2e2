package convert

import (
	"context"
	"fmt"
	"path/filepath"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
)

// CacheSizes is how large the numbers of a layer's cache get, keys and values, [KVHeads*HeadSize]; see llama.CacheScales.
type CacheSizes = [2][]float32

// quantizeCache makes the cache of the model in dir int8: the graph, whose cache is float, is run by the options' function, and written
// anew with the scales that follow.
func quantizeCache(ctx context.Context, dir string, s *source, o Options, w llama.Weights, model *graph.Model) (*graph.Model, error) {
	if err := model.WriteFile(filepath.Join(dir, llama.GraphFile)); err != nil {
		return nil, err
	}
	sizes, err := o.QuantizeKV(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("calibrating the KV cache: %w", err)
	}
	if len(sizes) != len(w.Layers) {
		return nil, fmt.Errorf("calibrating the KV cache: %d layers were measured, the model has %d", len(sizes), len(w.Layers))
	}
	for i, size := range sizes {
		w.Layers[i].KeyScale, w.Layers[i].ValueScale = llama.CacheScales(i, size[0], size[1])
	}
	return llama.Build(s.config, w)
}
