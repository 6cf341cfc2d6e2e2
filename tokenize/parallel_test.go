package tokenize

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A long text in parts on all processors gives the ids of the whole on one.
func TestParallel(t *testing.T) {
	prose := strings.Repeat("hello the world and\nthe hello  1234567\n\n  the\r\nand it's héllo;\nthe\n 中文\n", 3600)
	for _, file := range []fields{
		llamaFile(),
		with(llamaFile(), "pre_tokenizer", fields{"type": "ByteLevel", "add_prefix_space": false}),
		with(llamaFile(), "pre_tokenizer", fields{"type": "ByteLevel", "add_prefix_space": true}),
		mistralFile(),
	} {
		tok := parsed(t, file)
		e := tok.encoder()
		var want []int32
		s := prose
		if tok.normalizer != nil {
			s = tok.normalizer.normalize(s)
		}
		e.emit(s, true, 0)
		want = append(want, e.ids...)
		tok.release(e)
		if got := tok.Encode(prose, Options{}); !slices.Equal(got, want) {
			t.Errorf("%v: %d ids, want %d; boundaries: %v", file["pre_tokenizer"], len(got), len(want), tok.boundary != nil)
		}
		texts := []string{prose, "", "the", prose[:1000], "hello"}
		for i, ids := range tok.EncodeBatch(texts, Options{Template: true}) {
			if diff := cmp.Diff(tok.Encode(texts[i], Options{Template: true}), ids); diff != "" {
				t.Errorf("text %d of a batch (-alone +batch):\n%.1000s", i, diff)
			}
		}
	}
}

// A panic in a worker reaches the caller, whose fence catches it.
func TestParallelPanic(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "boom") {
			t.Errorf("recovered %v", r)
		}
	}()
	parsed(t, llamaFile()).parallel(100, func(*encoder, int) { panic("boom") })
}

// Input that makes other tokenizers slow. The bound only guards against a hang.
func TestAdversarialInput(t *testing.T) {
	size := 1 << 20
	if testing.Short() {
		size = 1 << 17
	}
	for name, part := range map[string]string{
		"one letter": "a", "spaces": " ", "line ends": "\n", "emoji": "\U0001F600", "digits": "7", "one word": "hellothe", "marks": "\u0301",
		"upper case": "Ab", "quotes": "'", "half a control token": "<|reserved_special_token_", "control tokens": "<|eot_id|>", "invalid": "\xff", "cut": "\xf0\x9f\x98",
		"wide spaces": "\u3000", "Hangul": "ᄀ", "signs": "▁",
	} {
		text := strings.Repeat(part, size/len(part))
		for _, file := range []fields{llamaFile(), mistralFile(), with(llamaFile(), "normalizer", fields{"type": "NFC"})} {
			tok := parsed(t, file)
			start := time.Now()
			ids := tok.Encode(text, Options{LiteralAll: name == "control tokens"})
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("%s: %d bytes take %v", name, size, d)
			}
			if got, want := tok.Decode(ids, false), validText(text); got != want && file["normalizer"] == nil {
				t.Errorf("%s: decodes to %.40q… (%d bytes), want %.40q… (%d bytes)", name, got, len(got), want, len(want))
			}
		}
	}
}

// Encode allocates its result, and nothing a token.
func TestAllocations(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	text := strings.Repeat("hello the world and 1234 more, the end.\n", 500)
	f := func(file fields, most float64) {
		t.Helper()
		tok := parsed(t, file)
		tok.Encode(text, Options{})
		if n := testing.AllocsPerRun(20, func() { tok.Encode(text, Options{}) }); n > most {
			t.Errorf("%v allocations for %d bytes, want at most %v", n, len(text), most)
		}
	}
	f(llamaFile(), 6)
	f(mistralFile(), 8)
}
