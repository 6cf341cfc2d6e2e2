package tokenizer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/tokenize"
)

// How much text each family is compared on, unless ORTSERVE_TOKENIZER_BYTES says: those of published models, and the
// pipelines that only testdata/families.py has.
const (
	familyBytes = 2_000_000
	otherBytes  = 300_000
)

// publishedFamilies are the families of testdata/families.py whose pipelines published models have.
var publishedFamilies = []string{"llama3", "qwen2", "gpt2", "o200k", "deepseek", "tekken", "starcoder", "llama2", "gemma"}

// TestHuggingFace compares ids, ids with what the post-processor adds, decoded text and streamed text with the Python
// package tokenizers: no difference is allowed.
func TestHuggingFace(t *testing.T) {
	python := testenv.Python(t, "tokenizer-corpus")
	seed := fromEnv(t, "ORTSERVE_TOKENIZER_SEED", 1)
	for _, dir := range families(t, python) {
		size := familyBytes
		if filepath.Dir(dir) == trained && !slices.Contains(publishedFamilies, filepath.Base(dir)) {
			size = otherBytes
		}
		size = fromEnv(t, "ORTSERVE_TOKENIZER_BYTES", size)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			compare(t, python, dir, size, seed)
		})
	}
}

// families returns the folders with a tokenizer.json: published ones where ORTSERVE_TOKENIZERS names a folder of them,
// else those that are trained here, and the default model's.
func families(t *testing.T, python string) []string {
	given := os.Getenv("ORTSERVE_TOKENIZERS")
	if given == "" {
		given = trained
		train.Do(func() {
			cmd := exec.CommandContext(t.Context(), python, "families.py", trained)
			cmd.Dir, cmd.Stderr = "testdata", t.Output()
			trainErr = cmd.Run()
		})
		if trainErr != nil {
			t.Fatal(trainErr)
		}
	}
	dirs := glob(t, given)
	if len(dirs) == 0 {
		t.Fatalf("no folder in %s has a tokenizer.json", given)
	}
	return append(dirs, testenv.DefaultModel(t))
}

// The families that are trained here, once for all tests.
var (
	trained  string
	train    sync.Once
	trainErr error
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tokenizers")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	trained = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(code)
}

func glob(t testing.TB, folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "*", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = filepath.Dir(f)
	}
	return files
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// frame is one text and what Hugging Face makes of it, see testdata/reference.py.
type frame struct {
	text, decoded, plain string
	ids, full            []int32
}

func compare(t *testing.T, python, dir string, size, seed int) {
	tok, err := tokenize.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "reference.py", filepath.Join(dir, "tokenizer.json"), strconv.Itoa(size), strconv.Itoa(seed))
	cmd.Dir, cmd.Stderr = "testdata", t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(out, 1<<20)
	texts, bytes, wrong := 0, 0, 0
	for {
		f, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		texts, bytes = texts+1, bytes+len(f.text)
		if problem := check(tok, f, texts); problem != "" {
			if wrong++; wrong <= 3 {
				t.Errorf("text %d: %s", texts, problem)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if bytes < size {
		t.Errorf("%d bytes were compared, not %d", bytes, size)
	}
	t.Logf("%d texts, %d bytes, %d differ", texts, bytes, wrong)
}

// check returns what is wrong with a frame, "" where nothing is.
func check(tok *tokenize.Tokenizer, f *frame, n int) string {
	if got := tok.Encode(f.text, tokenize.Options{}); !slices.Equal(got, f.ids) {
		i := 0
		for i < min(len(got), len(f.ids)) && got[i] == f.ids[i] {
			i++
		}
		return fmt.Sprintf("ids differ from the %dth on: got %v, want %v; before them %q, the text is %q", i, window(got, i), window(f.ids, i),
			tok.Decode(f.ids[max(0, i-5):i], false), clip(f.text))
	}
	if n%16 == 1 {
		if got := tok.Encode(f.text, tokenize.Options{Template: true}); !slices.Equal(got, f.full) {
			return fmt.Sprintf("with the template got %v, want %v", window(got, 0), window(f.full, 0))
		}
	}
	if got := tok.Decode(f.ids, false); got != f.decoded {
		return fmt.Sprintf("decoded to %q, want %q", clip(got), clip(f.decoded))
	}
	if n%4 == 1 {
		if got := tok.Decode(f.ids, true); got != f.plain {
			return fmt.Sprintf("decoded without special tokens to %q, want %q", clip(got), clip(f.plain))
		}
		s, streamed := tok.NewStream(false), ""
		for _, id := range f.ids {
			streamed += s.Next([]int32{id})
		}
		if streamed += s.Next(nil); streamed != f.decoded {
			return fmt.Sprintf("streamed %q, want %q", clip(streamed), clip(f.decoded))
		}
	}
	return ""
}

func window(ids []int32, i int) []int32 { return ids[min(i, len(ids)):min(i+8, len(ids))] }

func clip(s string) string { return s[:min(len(s), 500)] }

func readFrame(r io.Reader) (*frame, error) {
	f := new(frame)
	for _, s := range []*string{&f.text, &f.decoded, &f.plain} {
		n, err := readUint32(r)
		if err != nil {
			return nil, err
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		*s = string(b)
	}
	for _, ids := range []*[]int32{&f.ids, &f.full} {
		n, err := readUint32(r)
		if err != nil {
			return nil, err
		}
		*ids = make([]int32, n)
		if err := binary.Read(r, binary.LittleEndian, *ids); err != nil && n > 0 {
			return nil, err
		}
	}
	return f, nil
}

func readUint32(r io.Reader) (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(r, b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}
