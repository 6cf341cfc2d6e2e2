package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tokenizerDir returns a folder with nothing but a small tokenizer.json.
func tokenizerDir(t *testing.T) string {
	t.Helper()
	file := `{"version": "1.0", "added_tokens": [{"id": 9, "content": "<|end|>", "special": true}], "decoder": {"type": "Fuse"},
		"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<": 3, "|": 4, "e": 5, "n": 6, "d": 7, ">": 8}, "merges": ["a b"]}}`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTokenize(t *testing.T) {
	dir := tokenizerDir(t)
	f := func(flags, in, out, failure string) {
		t.Helper()
		var stdout, stderr strings.Builder
		args := append([]string{"tokenize", "--model", dir}, strings.Fields(flags)...)
		code := run(args, terminal{strings.NewReader(in), &stdout, &stderr})
		if stdout.String() != out || (code != 0) != (failure != "") || !strings.Contains(stderr.String(), failure) {
			t.Errorf("%s of %q: exit code %d, output %q, errors %q", flags, in, code, &stdout, &stderr)
		}
	}
	f("", "ab<|end|>a", "2 3 4 5 6 7 4 8 0\n", "")
	f("--raw", "ab<|end|>a", "2 9 0\n", "")
	f("--count", "aba", "2\n", "")
	f("", "", "\n", "")
	f("--decode", "2 9\n0\n", "ab<|end|>a", "")
	f("--decode --skip-special", "2 9 0", "aba", "")
	f("--decode", "2 x", "ab", `"x" is no token id`)
	f("--decode", "-1", "", "-1 is no token id of this model, whose vocabulary has 10")
	f("--decode", "2 10", "ab", "10 is no token id of this model, whose vocabulary has 10")
	f("--decode", "99999999999999", "", "is no token id")
	f("--json", `{"text": "ab<|end|>"}`+"\n"+`{"text": "ab<|end|>", "raw": true}`+"\n\n", `{"ids": [2,3,4,5,6,7,4,8]}`+"\n"+`{"ids": [2,9]}`+"\n", "")
	f("--json", `{"text": ""}`, `{"ids": []}`+"\n", "")
	f("--json --count", `{"text": "aba"}`, `{"count": 2}`+"\n", "")
	f("--json --decode", `{"ids": [2,9]}`, `{"text":"ab<|end|>"}`+"\n", "")
	f("--json", "{\"text\": \"a\"}\n{\"txt\": \"a\"}", `{"ids": [0]}`+"\n", "line 2: ")
	f("--json", `{"raw": true}`, "", `"text" is missing`)
	f("--json", `{"text": "a"} {}`, "", "something follows")
	f("--json", `{"text": "a"}]`, "", "something follows")
	f("--json --decode", `{"ids": [2,10]}`, "", "line 1: 10 is no token id of this model, whose vocabulary has 10")
	f("--json --decode --skip-special", `{"ids": [2,9]}`, `{"text":"ab"}`+"\n", "")
	f("--json --decode", `{"text": "a"}`, "", "unknown field")
	f("--json", `{"TEXT": "a"}`, "", `unknown field "TEXT"`)
	f("--json", `{"text": "a", "text": "b"}`, "", `"text" is given twice`)
	f("--json", `{"text": 7}`, "", `"text": `)
	f("--json", `{"text": "a"`, "", "line 1: ")
	f("--json", `["a"]`, "", "an object is expected")
	f("--json", `{"text": "a\ud83d"}`, "", `the lone surrogate \ud83d is no character`)
	f("--json", `{"text": "\ude00\ud83d"}`, "", `lone surrogate \ude00`)
	f("--json", "{\"text\": \"\xff\"}", "", "not UTF-8")
	f("--json", `{"text": "\u0061\u0062"}`, `{"ids": [2]}`+"\n", "")
	if got := loneSurrogate([]byte(`"\ud83d\ude00 \\ud83d \n\u0061"`)); got != "" {
		t.Errorf("a pair, and what only looks like an escape: %q", got)
	}
	f("--decode --count", "", "", "do not go together")
	f("--json --raw", "", "", "do not go together")
	f("--skip-special", "", "", "--skip-special is for --decode")
	f("more", "", "", `"more" is no flag`)
	f("--model /nowhere/at/all", "", "", "--model /nowhere/at/all: ")
	f("--model "+t.TempDir(), "", "", "no tokenizer.json")
}

// An answer comes before the next line is there.
func TestTokenizeStreams(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run([]string{"tokenize", "--json", "--model", tokenizerDir(t)}, terminal{inR, outW, io.Discard})
		outW.Close()
	}()
	answers := bufio.NewReader(outR)
	for _, text := range []string{"a", "ab", "b"} {
		line, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inW.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		answer := make(chan string, 1)
		go func() {
			s, _ := answers.ReadString('\n')
			answer <- s
		}()
		select {
		case s := <-answer:
			if !strings.HasPrefix(s, `{"ids": [`) {
				t.Errorf("%q is answered with %q", text, s)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%q is not answered", text)
		}
	}
	if err := inW.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
