package tokenize

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	damagedFiles = 2000
	damagedEnv   = "ORTSERVE_TEST_DAMAGED"
)

// Two thousand damaged files are loaded in a process of their own, which must live to its end: each gives an error, or,
// where a flipped byte leaves a file that is whole, a tokenizer that encodes and decodes.
func TestDamagedFiles(t *testing.T) {
	if os.Getenv(damagedEnv) != "" {
		loadDamaged(os.Stdout)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDamagedFiles$", "-test.count=1")
	cmd.Env = append(os.Environ(), damagedEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the process ended with %v, its last words:\n%s", err, out[max(0, len(out)-2000):])
	}
	files, loaded := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var o outcome
		if json.Unmarshal(lines.Bytes(), &o) != nil {
			continue // what the test framework prints
		}
		files++
		if o.Err == "" {
			loaded++
		}
		if o.Err == "" && o.Kind != "flip" {
			t.Errorf("file %d (%s) is loaded", o.File, o.Kind)
		}
		if strings.Contains(o.Err, "\n") || len(o.Err) > 500 {
			t.Errorf("file %d (%s): the error is no line: %q", o.File, o.Kind, o.Err)
		}
		if o.Milliseconds > 10_000 {
			t.Errorf("file %d (%s) takes %d ms", o.File, o.Kind, o.Milliseconds)
		}
	}
	if files != damagedFiles || lines.Err() != nil {
		t.Errorf("%d files were tried, not %d: %v", files, damagedFiles, lines.Err())
	}
	if loaded > files/4 {
		t.Errorf("%d of %d damaged files are loaded", loaded, files)
	}
	t.Logf("%d files, %d refused, %d whole all the same", files, files-loaded, loaded)
}

// outcome is what came of one damaged file.
type outcome struct {
	File         int
	Kind, Err    string
	Milliseconds int64
}

func loadDamaged(out *os.File) {
	var whole [][]byte
	for _, f := range []fields{llamaFile(), mistralFile()} {
		data, err := json.Marshal(f)
		if err != nil {
			panic(err)
		}
		whole = append(whole, data)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range damagedFiles {
		kind, data := damage(r, i, whole[i%len(whole)])
		start := time.Now()
		tok, err := Parse(data)
		o := outcome{File: i, Kind: kind}
		if err != nil {
			o.Err = err.Error()
		} else {
			text := "hello the <|eot_id|> 123\n\xff é中\U0001F600</s>"
			tok.Decode(tok.Encode(text, Options{Template: true}), false)
			tok.Decode(tok.Encode(text, Options{Literal: [][2]int{{3, 9}}}), true)
		}
		o.Milliseconds = time.Since(start).Milliseconds()
		line, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "%s\n", line)
	}
}

// damage returns a file that is broken in one of many ways.
func damage(r *rand.Rand, i int, whole []byte) (string, []byte) {
	data := bytes.Clone(whole)
	replace := func(old, replacement string) []byte {
		return bytes.Replace(data, []byte(old), []byte(replacement), 1)
	}
	big := func(s string, n int) string { return strings.Repeat(s, n/len(s)) }
	switch {
	case i%3 == 0:
		return "truncated", data[:r.IntN(len(data))]
	case i%40 == 1:
		return "deep", []byte(`{"version": "1.0", "normalizer": ` + big([]string{"[", `{"a":`, `{"type":"Sequence","normalizers":[`}[r.IntN(3)], 1<<r.IntN(22)+40000))
	case i%40 == 2:
		return "deep", replace(`"pre_tokenizer":`, `"pre_tokenizer":`+big("[", 1<<20)+big("]", 1<<20)+`,"x":`)
	case i%40 == 4:
		return "huge", replace(`"vocab":{`, `"vocab":{"`+big("x", 1<<20)+`":4,`)
	case i%40 == 5:
		return "huge", replace(`"vocab":{`, `"vocab":{"zz":`+big("9", 1<<r.IntN(20)+10)+`,`)
	case i%40 == 7:
		return "huge", replace(`"merges":[`, `"merges":[`+big(`"q q",`, 1<<20))
	case i%40 == 8:
		return "huge", append(data, big("\x00", 1<<20)...)
	case i%40 == 10:
		data = replace(`"type":"Split"`, `"type":"Precompiled"`)
		return "type", replace(`"type":"Prepend"`, `"type":"Precompiled"`)
	case i%40 == 11:
		return "type", replace(`"merges":[`, `"merges":[["a"],`)
	case i%40 == 13:
		return "type", replace(`"vocab":{`, `"vocab":{"zz":-1,`)
	case i%40 == 14:
		return "type", replace(`"version":"1.0"`, `"version":"2.0"`)
	case i%40 == 16:
		return "bytes", replace(`"vocab":{`, "\"vocab\":{\"\xff\":3,")
	case i%40 == 17:
		return "bytes", replace(`"vocab":{`, `"vocab":{"\ud800":3,`)
	}
	for range 1 + r.IntN(8) {
		data[r.IntN(len(data))] ^= byte(1 + r.IntN(255))
	}
	return "flip", data
}

// What is not supported is refused by name.
func TestRefused(t *testing.T) {
	f := func(file fields, want string) {
		t.Helper()
		_, err := Parse(encoded(t, file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "tokenizer.json: ") {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	llama, mistral := llamaFile(), mistralFile()
	f(withModel(llama, "type", "Unigram"), `type "Unigram" is not supported`)
	f(withModel(llama, "type", "WordPiece"), `type "WordPiece"`)
	f(withModel(llama, "vocab", []any{[]any{"a", -1.5}}), "Unigram")
	f(withModel(llama, "dropout", 0.1), "dropout")
	f(withModel(llama, "continuing_subword_prefix", "##"), "continuing_subword_prefix")
	f(withModel(llama, "end_of_word_suffix", "</w>"), "end_of_word_suffix")
	f(withModel(llama, "merges", []string{"a nothere"}), "not in the vocabulary")
	f(withModel(llama, "merges", []string{"a b"}), "what it gives")
	f(withModel(llama, "merges", nil), "merges")
	f(withModel(withModel(llama, "merges", []string{}), "vocab", map[string]int{"a": 1, "b": 1}), "same id")
	f(withModel(llama, "vocab", map[string]int{"a": maxID + 1}), "token id above")
	f(withModel(withModel(mistral, "byte_fallback", false), "unk_token", "nothere"), "unk_token")
	f(with(llama, "normalizer", fields{"type": "Precompiled"}), `normalizer: "Precompiled" is not supported`)
	f(with(llama, "normalizer", fields{"type": "BertNormalizer"}), `"BertNormalizer"`)
	f(with(llama, "pre_tokenizer", fields{"type": "UnicodeScripts"}), `pre_tokenizer: "UnicodeScripts"`)
	f(with(llama, "pre_tokenizer", fields{"type": "Split", "pattern": fields{"Regex": "(a"}, "behavior": "Isolated", "invert": false}), "pattern")
	f(with(llama, "pre_tokenizer", fields{"type": "Split", "pattern": fields{"String": "a"}, "behavior": "Sideways", "invert": false}), "Sideways")
	f(with(llama, "pre_tokenizer", fields{"type": "Digits"}), "individual_digits")
	f(with(llama, "pre_tokenizer", fields{"type": "Metaspace", "replacement": "ab"}), "replacement")
	f(with(llama, "pre_tokenizer", fields{"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"}), "often")
	f(with(llama, "decoder", fields{"type": "WordPiece"}), `decoder: "WordPiece"`)
	f(with(llama, "decoder", fields{"type": "Sequence", "decoders": []fields{{"type": "Fuse"}, {"type": "ByteFallback"}}}), "behind Fuse")
	f(with(llama, "post_processor", fields{"type": "Sideways"}), `post_processor: "Sideways"`)
	f(with(llama, "post_processor", fields{"type": "TemplateProcessing", "single": []fields{{"SpecialToken": fields{"id": "x"}}}}), `"x" is not defined`)
	f(with(llama, "version", "0.9"), "version")
	f(with(llama, "added_tokens", []fields{{"id": 300, "content": strings.Repeat("x", maxAdded+1)}}), "at most")
}
