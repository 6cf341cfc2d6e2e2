package hub

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Layouts as publishers use them: names alone matter here.
var layouts = map[string]string{
	// transformers.js's, as onnx-community publishes
	"community": `.gitattributes README.md config.json generation_config.json onnx/model.onnx onnx/model.onnx_data onnx/model.onnx_data_1
		onnx/model_bnb4.onnx onnx/model_fp16.onnx onnx/model_fp16.onnx_data onnx/model_int8.onnx onnx/model_q4.onnx onnx/model_q4.onnx_data
		onnx/model_q4f16.onnx onnx/model_quantized.onnx onnx/model_uint8.onnx special_tokens_map.json tokenizer.json tokenizer_config.json`,
	// onnxruntime-genai's builder, as microsoft publishes
	"microsoft": `LICENSE README.md config.json cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/genai_config.json
		cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/model.onnx cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/model.onnx.data
		cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/tokenizer.json cpu_and_mobile/cpu-int4-rtn-block-32/genai_config.json
		cpu_and_mobile/cpu-int4-rtn-block-32/model.onnx cpu_and_mobile/cpu-int4-rtn-block-32/model.onnx.data
		cuda/cuda-fp16/genai_config.json cuda/cuda-fp16/model.onnx cuda/cuda-fp16/model.onnx.data cuda/cuda-fp16/tokenizer.json`,
	// transformers', as meta-llama publishes
	"meta": `LICENSE.txt README.md USE_POLICY.md config.json generation_config.json model-00001-of-00002.safetensors
		model-00002-of-00002.safetensors model.safetensors.index.json original/consolidated.00.pth original/tokenizer.model
		special_tokens_map.json tokenizer.json tokenizer_config.json`,
	"gguf": `README.md Llama-Q3_K_L.gguf Llama-Q4_K_M.gguf Llama-Q8_0.gguf Llama-f16-00001-of-00002.gguf Llama-f16-00002-of-00002.gguf
		mmproj-Llama-f16.gguf config.json`,
	"genai":   "LICENSE genai_config.json model.onnx model.onnx.data tokenizer.json tokenizer_config.json chat_template.jinja",
	"nothing": "README.md train.csv model.bin",
}

func TestChoose(t *testing.T) {
	f := func(layout, quant, label string, want ...string) {
		t.Helper()
		var files []File
		for name := range strings.FieldsSeq(layouts[layout]) {
			files = append(files, File{Path: name})
		}
		c, err := choose(files, quant)
		if label == "" {
			if err == nil || !strings.Contains(err.Error(), want[0]) {
				t.Errorf("%s:%s: %+v, %v, want an error with %q", layout, quant, c, err, want[0])
			}
			return
		}
		if err != nil || c.label != label {
			t.Errorf("%s:%s: %+v, %v, want %s", layout, quant, c, err, label)
			return
		}
		var got []string
		for _, p := range c.picks {
			if p.local == p.file.Path {
				got = append(got, p.local)
			} else {
				got = append(got, p.file.Path+" as "+p.local)
			}
		}
		if len(want) > 0 {
			if diff := cmp.Diff(strings.Fields(strings.Join(want, " ")), strings.Fields(strings.Join(got, " "))); diff != "" {
				t.Errorf("%s:%s (-want +got):\n%s", layout, quant, diff)
			}
		}
	}
	described := "config.json generation_config.json special_tokens_map.json tokenizer.json tokenizer_config.json"
	f("community", "", "onnx/model_q4.onnx", "onnx/model_q4.onnx onnx/model_q4.onnx_data", described)
	f("community", "q4", "onnx/model_q4.onnx")
	f("community", "Q4", "onnx/model_q4.onnx")
	f("community", "q4f16", "onnx/model_q4f16.onnx")
	f("community", "fp16", "onnx/model_fp16.onnx", "onnx/model_fp16.onnx onnx/model_fp16.onnx_data", described)
	f("community", "fp32", "onnx/model.onnx", "onnx/model.onnx onnx/model.onnx_data onnx/model.onnx_data_1", described)
	f("community", "int8", "onnx/model_int8.onnx")
	f("community", "Q4_K_M", "", `nothing called "Q4_K_M", but onnx/model.onnx, `)
	cpu := "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/"
	f("microsoft", "", cpu+"model.onnx", cpu+"genai_config.json as genai_config.json", cpu+"model.onnx as model.onnx",
		cpu+"model.onnx.data as model.onnx.data", cpu+"tokenizer.json as tokenizer.json LICENSE config.json")
	f("microsoft", "cuda-fp16", "cuda/cuda-fp16/model.onnx")
	f("microsoft", "cpu-int4-rtn-block-32", cpu+"model.onnx")
	f("meta", "", "safetensors", "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json LICENSE.txt",
		described)
	f("meta", "4bit", "safetensors")
	f("meta", "q4", "safetensors")
	f("meta", "q5", "", "safetensors (as 4bit")
	f("gguf", "", "Llama-Q4_K_M.gguf", "Llama-Q4_K_M.gguf")
	f("gguf", "q8_0", "Llama-Q8_0.gguf", "Llama-Q8_0.gguf")
	f("gguf", "f16", "Llama-f16-00001-of-00002.gguf", "Llama-f16-00001-of-00002.gguf Llama-f16-00002-of-00002.gguf")
	f("genai", "", "model.onnx", "genai_config.json model.onnx model.onnx.data tokenizer.json tokenizer_config.json chat_template.jinja LICENSE")
	f("nothing", "", "", "holds no model")
	f("nothing", "q4", "", "holds no model")
}
