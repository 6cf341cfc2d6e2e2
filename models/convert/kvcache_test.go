package convert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/onnx/graph"
)

// TestQuantizeKV: the cache is int8 with scales of what was measured on the model as it is without; nothing is left where measuring fails.
func TestQuantizeKV(t *testing.T) {
	c := testmodel.Config{Layers: 2}
	gguf := write(t, c.GGUF("smollm"))
	dir := filepath.Join(t.TempDir(), "m")
	sizes := make([]convert.CacheSizes, 2)
	for layer := range sizes {
		for side := range sizes[layer] {
			for i := range 2 * 16 {
				sizes[layer][side] = append(sizes[layer][side], float32(1+layer+2*side+i))
			}
		}
	}
	report, err := convert.GGUF(t.Context(), gguf, dir, convert.Options{QuantizeKV: func(_ context.Context, dir string) ([]convert.CacheSizes, error) {
		m, err := graph.ReadFile(filepath.Join(dir, "model.onnx"))
		if err != nil {
			return nil, err
		}
		if in := m.Graph.Input("past_key_values.1.key"); in.Type != graph.Float32 {
			t.Errorf("it is measured with a cache of %s", in.Type)
		}
		return sizes, nil
	}})
	if err != nil || report.KV != graph.Int8 {
		t.Fatalf("%+v, %v", report, err)
	}
	m, err := graph.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for layer := range sizes {
		for side, name := range []string{"key", "value"} {
			in, out := m.Graph.Input(fmt.Sprintf("past_key_values.%d.%s", layer, name)), m.Graph.Output(fmt.Sprintf("present.%d.%s", layer, name))
			if in.Type != graph.Int8 || out.Type != graph.Int8 {
				t.Errorf("the cache is %s and %s", in.Type, out.Type)
			}
			b, err := m.Graph.Initializer(fmt.Sprintf("model.layers.%d.self_attn.%s_scale", layer, name)).Data(dir)
			if err != nil {
				t.Fatal(err)
			}
			var want []float32
			for _, v := range sizes[layer][side] {
				want = append(want, v/127)
			}
			if !bytes.Equal(b, graph.AppendFloat32(nil, want)) {
				t.Errorf("layer %d: the scales of %ss are others", layer, name)
			}
		}
	}

	f := func(want string, measure func(context.Context, string) ([]convert.CacheSizes, error)) {
		t.Helper()
		dst := filepath.Join(t.TempDir(), "m")
		_, err := convert.GGUF(t.Context(), gguf, dst, convert.Options{QuantizeKV: measure})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if left, err := os.ReadDir(filepath.Dir(dst)); err != nil || len(left) > 0 {
			t.Errorf("it left %v, %v", left, err)
		}
	}
	f("calibrating the KV cache: no library", func(context.Context, string) ([]convert.CacheSizes, error) { return nil, errors.New("no library") })
	f("1 layers were measured, the model has 2", func(context.Context, string) ([]convert.CacheSizes, error) { return sizes[:1], nil })
	f("scales of the cache float32 [3], want float32 [32]", func(context.Context, string) ([]convert.CacheSizes, error) {
		return []convert.CacheSizes{{{1, 2, 3}, {1, 2, 3}}, {{1, 2, 3}, {1, 2, 3}}}, nil
	})
}
