package convert

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// Options say how weights are stored. The zero value is the form that keeps the file's values at the least size: what
// holds them as they are (see package documentation), else 8 bits in blocks of 64 with zero points.
type Options struct {
	Bits      int    // 4 or 8; 0 chooses. 32 keeps float32, to compare with.
	Block     int    // weights that share a scale: 32, 64 or 128; 0 chooses
	Symmetric bool   // no zero points
	Name      string // of the model, for messages; may be empty

	// Temperature, if not nil, is for requests that ask for none, in place of what the file advises; 0 is greedy.
	Temperature *float64

	// Progress, if not nil, is told how many of the file's bytes of weights are done, from one goroutine at a time.
	Progress func(done, total int64)
}

// Report says what was done.
type Report struct {
	Dir          string
	Architecture string
	Weights      nbits.Format // of the layers
	Head         nbits.Format // of the product that gives logits
	Embedding    nbits.Format
	Exact        int // matrices whose values are bit for bit those of the file
	Rounded      int // matrices that were rounded anew
	SourceBytes  int64
	Bytes        int64 // of the weights written
	Duration     time.Duration
}

// GGUF imports the GGUF file at path as the model directory dst, replacing a model that is there. When ctx ends it stops
// and leaves nothing.
func GGUF(ctx context.Context, path, dst string, o Options) (*Report, error) {
	start := time.Now()
	if err := o.check(); err != nil {
		return nil, err
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	report, err := convert(ctx, file, dst, o)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	report.Duration = time.Since(start)
	return report, nil
}

func convert(ctx context.Context, file *gguf.File, dst string, o Options) (*Report, error) {
	source, err := readLlama(file)
	if err != nil {
		return nil, err
	}
	tokens, err := readTokenizer(file.Metadata, source.config.Vocab)
	if err != nil {
		return nil, err
	}
	s, err := stageDir(dst)
	if err != nil {
		return nil, err
	}
	defer s.discard()

	report := &Report{Dir: dst, Architecture: "llama", SourceBytes: file.Size}
	if err := writeGraph(ctx, s.dir, source, o, report); err != nil {
		return nil, err
	}
	d := tokens.description()
	d.Tied, d.Sampling = source.tied, readSampling(file.Metadata)
	if o.Temperature != nil {
		d.Sampling.Temperature = o.Temperature
	}
	if err := file.Metadata.Err(); err != nil {
		return nil, err
	}
	if err := source.config.WriteDescription(s.dir, d); err != nil {
		return nil, err
	}
	if err := tokens.write(s.dir, source.config.Positions); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return report, s.commit()
}

// writeGraph writes model.onnx and its external file.
func writeGraph(ctx context.Context, dir string, source *llamaSource, o Options, report *Report) error {
	data, err := graph.CreateData(filepath.Join(dir, llama.DataFile))
	if err != nil {
		return err
	}
	w := &writer{data: data, options: o, report: report}
	weights, err := w.llama(source)
	if err == nil {
		err = w.run(ctx, o.Progress)
	}
	if err == nil {
		weights.Cos, weights.Sin, err = source.config.WriteRotary(data)
	}
	report.Bytes = data.Size()
	if cerr := data.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	model, err := llama.Build(source.config, weights)
	if err != nil {
		return err
	}
	model.Metadata = []graph.Entry{{Key: "weights", Value: report.Weights.String()}}
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
