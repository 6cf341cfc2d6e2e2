package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ortserve/models/convert/gguf"
	"ortserve/models/convert/safetensors"
	"ortserve/onnx/graph/llama"
)

// hfNames are the names of tensors of a Llama-like model in transformers.
var hfNames = names{
	embedding: "model.embed_tokens", norm: "model.norm", head: "lm_head", layer: "model.layers.%d.",
	inputNorm: "input_layernorm", postNorm: "post_attention_layernorm",
	query: "self_attn.q_proj", key: "self_attn.k_proj", value: "self_attn.v_proj", output: "self_attn.o_proj",
	queryNorm: "self_attn.q_norm", keyNorm: "self_attn.k_norm",
	gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj",
}

// hfFolder is a Hugging Face folder: what transformers' save_pretrained writes.
type hfFolder struct {
	dir     string
	config  hfConfig
	weights *safetensors.Folder
}

const maxJSON = 256 << 20 // bytes: tokenizer.json of the largest vocabularies has some ten million

func openFolder(dir string) (*hfFolder, error) {
	f := &hfFolder{dir: dir}
	if ok, err := f.readJSON("config.json", &f.config); !ok || err != nil {
		if err == nil {
			err = fmt.Errorf("%s holds no config.json: it is no Hugging Face model", dir)
		}
		return nil, err
	}
	var err error
	if f.weights, err = safetensors.OpenFolder(dir); err != nil {
		if pickled, _ := filepath.Glob(filepath.Join(dir, "pytorch_model*.bin")); len(pickled) > 0 {
			err = fmt.Errorf("%w: %s is not read, because a pickle may run code (transformers saves safetensors)", err, filepath.Base(pickled[0]))
		}
		return nil, err
	}
	return f, nil
}

// source reads the model's shape and finds its tensors.
func (f *hfFolder) source() (*source, error) {
	s, err := f.config.source()
	if err != nil {
		return nil, err
	}
	if all := f.weights.Names(); s.config.Layers > len(all) {
		return nil, fmt.Errorf("%d layers, but only %d tensors", s.config.Layers, len(all))
	}
	s.files = append([]string{filepath.Join(f.dir, "config.json")}, f.weights.Paths...)
	find := &finder{
		used: map[string]bool{},
		want: func(rows, length int) string {
			if rows == 1 {
				return fmt.Sprint([]int{length})
			}
			return fmt.Sprint([]int{rows, length})
		},
		find: func(name string) (*tensor, string, error) {
			t := f.weights.Tensor(name)
			if t == nil {
				return nil, "", nil
			}
			kind, ok := map[string]gguf.Type{"F32": gguf.F32, "F16": gguf.F16, "BF16": gguf.BF16}[t.DType]
			out := &tensor{name: name, kind: kind, rows: int(t.Rows()), length: int(t.RowLength()), read: t.Read}
			if !ok {
				return out, "", fmt.Errorf("tensor %q is of type %s, which is not supported (F32, F16 and BF16 are)", name, t.DType)
			}
			return out, fmt.Sprint(t.Shape), nil
		},
	}
	var rest []string
	for _, name := range f.weights.Names() {
		// Old checkpoints hold tables that are computed from config.json; tied ones may hold the head a second time.
		if !strings.HasSuffix(name, ".self_attn.rotary_emb.inv_freq") && !(s.tied && name == hfNames.head+".weight") {
			rest = append(rest, name)
		}
	}
	return s, errors.Join(s.readTensors(find, hfNames), find.unknown(rest))
}

// The files of the folder that go into the model's as they are.
var hfFiles = []string{
	"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
	"chat_template.jinja", "added_tokens.json",
}

// describe copies what the folder says about the model and writes what onnxruntime-genai wants to read.
func (f *hfFolder) describe(dir string, s *source, o Options) error {
	for _, name := range hfFiles {
		b, ok, err := f.read(name)
		if err != nil {
			return err
		}
		if !ok {
			if name == "tokenizer.json" {
				return fmt.Errorf("%s holds no tokenizer.json (transformers writes it: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR))", f.dir)
			}
			continue
		}
		if !json.Valid(b) && filepath.Ext(name) == ".json" {
			return fmt.Errorf("%s is no JSON", filepath.Join(f.dir, name))
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	var generation struct {
		llama.Sampling
		EOS hfIDs `json:"eos_token_id"`
	}
	if _, err := f.readJSON("generation_config.json", &generation); err != nil {
		return err
	}
	d := llama.Description{
		Architecture: s.architecture, BOS: -1, Pad: -1, EOS: generation.EOS, Tied: s.tied, Sampling: generation.Sampling,
	}
	if len(d.EOS) == 0 {
		d.EOS = f.config.EOS
	}
	if len(f.config.BOS) > 0 {
		d.BOS = f.config.BOS[0]
	}
	if len(f.config.Pad) > 0 {
		d.Pad = f.config.Pad[0]
	}
	if o.Temperature != nil {
		d.Sampling.Temperature = o.Temperature
		if err := f.setTemperature(dir, *o.Temperature); err != nil {
			return err
		}
	}
	return s.config.WriteGenAI(dir, d)
}

// setTemperature puts the temperature into generation_config.json and leaves all else there.
func (f *hfFolder) setTemperature(dir string, t float64) error {
	all := map[string]json.RawMessage{}
	if _, err := f.readJSON("generation_config.json", &all); err != nil {
		return err
	}
	var err error
	if all["temperature"], err = json.Marshal(t); err != nil {
		return err
	}
	return llama.WriteJSON(filepath.Join(dir, "generation_config.json"), all)
}

// read returns the contents of a file of the folder, or false where there is none.
func (f *hfFolder) read(name string) ([]byte, bool, error) {
	path := filepath.Join(f.dir, name)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case !st.Mode().IsRegular():
		return nil, false, fmt.Errorf("%s is not a regular file", path)
	case st.Size() > maxJSON:
		return nil, false, fmt.Errorf("%s has %d bytes, at most %d are read", path, st.Size(), maxJSON)
	}
	b, err := os.ReadFile(path)
	return b, err == nil, err
}

func (f *hfFolder) readJSON(name string, v any) (bool, error) {
	b, ok, err := f.read(name)
	if !ok || err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s is damaged: %w", filepath.Join(f.dir, name), err)
	}
	return true, nil
}
