package convert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// Options say how weights are stored. The zero value is the form that keeps the source's values at the least size: what
// holds them as they are (see package documentation), else 8 bits in blocks of 64 with zero points.
type Options struct {
	Bits      int    // 4 or 8; 0 chooses. 32 keeps float32 and, with Float16, 16 keeps float16: weights are not quantized.
	Block     int    // weights that share a scale: 32, 64 or 128; 0 chooses
	Symmetric bool   // no zero points
	Nearest   bool   // round to nearest instead of searching scales that lose less: faster, to compare with
	HeadBits  int    // 4 or 8: of the product that gives logits; 0: as Bits
	EdgeBits  int    // 4 or 8: of the first and the last layer; 0: as Bits
	Float16   bool   // activations and KV are float16, as GPUs want them
	Name      string // of the model, for messages; may be empty

	// QuantizeKV, if not nil, makes the KV cache int8. It gets the directory of the model as it would be without, and returns how large the
	// numbers of each layer's cache get.
	QuantizeKV func(ctx context.Context, dir string) ([]CacheSizes, error)

	// Temperature, if not nil, is for requests that ask for none, in place of what the file advises; 0 is greedy.
	Temperature *float64

	// Progress, if not nil, is told how many of the source's bytes of weights are done, from one goroutine at a time.
	Progress func(done, total int64)
}

// Report says what was done.
type Report struct {
	Dir          string
	Architecture string       // llama, mistral, qwen2 or qwen3
	Weights      nbits.Format // of the layers
	Edges        nbits.Format // of the first and the last layer
	Head         nbits.Format // of the product that gives logits
	Embedding    nbits.Format
	KV           graph.DataType // of the cache
	Exact        int            // matrices whose values are bit for bit those of the source
	Rounded      int            // matrices that were rounded anew
	SourceBytes  int64
	Bytes        int64 // of the weights written
	Duration     time.Duration
}

// Import imports a GGUF file, or a Hugging Face folder of safetensors, as the model directory dst, replacing a model that is
// there. When ctx ends it stops and leaves nothing.
func Import(ctx context.Context, path, dst string, o Options) (*Report, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return Folder(ctx, path, dst, o)
	}
	return GGUF(ctx, path, dst, o)
}

// GGUF imports the GGUF file at path, which may be the first of several parts, as [Import] does.
func GGUF(ctx context.Context, path, dst string, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	report, err := convertGGUF(ctx, file, dst, o)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	return report, nil
}

// Folder imports the Hugging Face folder dir, as [Import] does.
func Folder(ctx context.Context, dir, dst string, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	folder, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer folder.weights.Close()
	s, err := folder.source()
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", dir, err)
	}
	report, err := convert(ctx, s, folder.weights.Bytes, dst, o, func(dir string) error { return folder.describe(dir, s, o) })
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", dir, err)
	}
	return report, nil
}

func convertGGUF(ctx context.Context, file *gguf.File, dst string, o Options) (*Report, error) {
	s, err := readGGUF(file)
	if err != nil {
		return nil, err
	}
	tokens, err := readTokenizer(file.Metadata, s.config.Vocab)
	if err != nil {
		return nil, err
	}
	return convert(ctx, s, file.Size, dst, o, func(dir string) error {
		d := tokens.description()
		d.Architecture, d.Biases = s.architecture, s.outputBias
		d.Tied, d.Sampling = s.tied, readSampling(file.Metadata)
		if o.Temperature != nil {
			d.Sampling.Temperature = o.Temperature
		}
		if err := file.Metadata.Err(); err != nil {
			return err
		}
		if err := s.config.WriteDescription(dir, d); err != nil {
			return err
		}
		return tokens.write(dir, s.config.Positions)
	})
}

// convert writes the model directory dst; describe writes all files but the graph and its weights.
func convert(ctx context.Context, s *source, size int64, dst string, o Options, describe func(dir string) error) (*Report, error) {
	start := time.Now()
	s.config.Float16 = o.Float16
	staged, err := stageDir(dst)
	if err != nil {
		return nil, err
	}
	defer staged.discard()
	if err := describe(staged.dir); err != nil { // first: what is wrong there is known at once
		return nil, err
	}
	report := &Report{Dir: dst, Architecture: s.architecture, SourceBytes: size}
	ctx, stop := context.WithCancel(ctx)
	sums := digest(ctx, s.files)
	defer func() { _, _ = sums.wait() }()
	defer stop()
	if err := writeGraph(ctx, staged.dir, s, o, report); err != nil {
		return nil, err
	}
	digests, err := sums.wait()
	if err != nil {
		return nil, err
	}
	if err := report.writeManifest(ctx, staged.dir, s.config, digests); err != nil {
		return nil, err
	}
	if err := staged.commit(); err != nil {
		return nil, err
	}
	report.Duration = time.Since(start)
	return report, nil
}

// writeGraph writes model.onnx and its external file.
func writeGraph(ctx context.Context, dir string, s *source, o Options, report *Report) error {
	w := &writer{nearest: o.Nearest, report: report, progress: o.Progress}
	f := o.formats(s)
	w.total = w.toRead(s, f)
	fit, err := w.fits(ctx, s, f)
	if err != nil {
		return err
	}
	return w.write(ctx, dir, s, o, f, fit)
}

// write writes the graph whose weights have these formats.
func (w *writer) write(ctx context.Context, dir string, s *source, o Options, f formats, fit fits) (err error) {
	if w.data, err = graph.CreateData(filepath.Join(dir, llama.DataFile)); err != nil {
		return err
	}
	weights, err := w.model(s, f, fit)
	if err == nil {
		err = w.run(ctx)
	}
	if err == nil {
		weights.Cos, weights.Sin, err = s.config.WriteRotary(w.data)
	}
	w.report.Bytes = w.data.Size()
	if cerr := w.data.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	model, err := llama.Build(s.config, weights)
	w.report.KV = s.config.Float()
	if err == nil && o.QuantizeKV != nil {
		w.report.KV = graph.Int8
		model, err = quantizeCache(ctx, dir, s, o, weights, model)
	}
	if err != nil {
		return err
	}
	model.Metadata = []graph.Entry{{Key: "weights", Value: w.report.Weights.String()}}
	return model.WriteFile(filepath.Join(dir, llama.GraphFile))
}

// readSampling reads what the model's makers advise.
func readSampling(m *gguf.Metadata) llama.Sampling {
	var s llama.Sampling
	number := func(key string) *float64 {
		if !m.Has(key) {
			return nil
		}
		v := shortest(m.Float(key, 0))
		return &v
	}
	s.Temperature = number("general.sampling.temp")
	s.TopP = number("general.sampling.top_p")
	s.MinP = number("general.sampling.min_p")
	s.RepetitionPenalty = number("general.sampling.penalty_repeat")
	if m.Has("general.sampling.top_k") {
		k := int(m.Int("general.sampling.top_k", 0))
		s.TopK = &k
	}
	return s
}
