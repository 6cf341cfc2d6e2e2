package tokenize

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// knownPatterns are the patterns of published tokenizers that have a splitter of their own, by their text in
// tokenizer.json (a line end written as such or as \r, \n is the same).
var knownPatterns = map[string]func(*classTable) splitter{
	// GPT-2, as it stands in ByteLevel, and as tiktoken writes it.
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: gpt2,
	`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:    gpt2,
	// Llama 3, GPT-4, Phi-4.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words(classLetter, 3),
	`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`:       words(classLetter, 3),
	// Qwen 2, 2.5, 3; then Qwen 3.5.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:             words(classLetter, 1),
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words(classLetter|classMark, 1),
	// GPT-4o, gpt-oss, Llama 4.
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cased(3, true),
	// Mistral's Tekken.
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cased(1, false),
	// DeepSeek V3 has three.
	`\p{N}{1,3}`:   func(c *classTable) splitter { return &digitSplit{c, 3} },
	`[一-龥぀-ゟ゠-ヿ]+`: func(*classTable) splitter { return cjkSplit{} },
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": func(c *classTable) splitter { return &deepseekSplit{c} },
}

func gpt2(c *classTable) splitter { return &gpt2Split{c} }

func words(letters uint16, digits int) func(*classTable) splitter {
	return func(c *classTable) splitter { return &wordSplit{c, letters, digits} }
}

func cased(digits int, contractions bool) func(*classTable) splitter {
	return func(c *classTable) splitter { return &caseSplit{c, digits, contractions} }
}

// knownSplitter returns the splitter of a known pattern, nil for another.
func knownSplitter(pattern string) splitter {
	known := knownPatterns[strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(pattern)]
	if known == nil {
		return nil
	}
	return known(classes())
}

const (
	maxPattern = 4096
	// maxMatch bounds one match of an unknown pattern: a backtracking engine can take for ever on one.
	maxMatch = time.Second
)

// regexpSplit runs a pattern that has no splitter of its own.
type regexpSplit struct{ re *regexp2.Regexp }

func newRegexpSplit(pattern string) (*regexpSplit, error) {
	if pattern == "" || len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes, 1 to %d are supported", len(pattern), maxPattern)
	}
	re, err := regexp2.Compile(pattern, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("pattern is not supported: %w", err)
	}
	re.MatchTimeout = maxMatch
	return &regexpSplit{re}, nil
}

// spans returns all matches in s as pairs of byte offsets, empty ones included. After a match that runs out of time the
// rest of s counts as one gap.
func (x *regexpSplit) spans(s string) [][2]int {
	runes := []rune(s)
	at := make([]int, len(runes)+1)
	for i, r := range runes {
		at[i+1] = at[i] + utf8.RuneLen(r)
		if other, ok := standIns()[r]; ok {
			runes[i] = other
		}
	}
	var out [][2]int
	for m, err := x.re.FindRunesMatch(runes); m != nil && err == nil; m, err = x.re.FindNextMatch(m) {
		out = append(out, [2]int{at[m.Index], at[m.Index+m.Length]})
	}
	return out
}

// standIns has, for each code point whose classes regexp2 (the language's tables) does not know, one of those classes that
// it knows: a rare letter, mark, number or sign.
var standIns = sync.OnceValue(func() map[rune]rune {
	kinds := []struct {
		class  uint16
		tables []*unicode.RangeTable
		rune   rune
	}{
		{classUpper, []*unicode.RangeTable{unicode.Lu, unicode.Lt}, 0x10400},
		{classLower, []*unicode.RangeTable{unicode.Ll}, 0x10428},
		{classOther, []*unicode.RangeTable{unicode.Lm, unicode.Lo}, 0x1E800},
		{classMark, []*unicode.RangeTable{unicode.M}, 0x1E8D0},
		{classNumber, []*unicode.RangeTable{unicode.N}, 0x1E8C7},
		{classPunct, []*unicode.RangeTable{unicode.P}, 0x1E95E},
		{classSymbol, []*unicode.RangeTable{unicode.S}, 0x1F000},
	}
	out := map[rune]rune{}
	for i, bits := range classes() {
		r, was := rune(i), uint16(0)
		for _, k := range kinds {
			if unicode.In(r, k.tables...) {
				was |= k.class
			}
		}
		const all = classLetter | classMark | classNumber | classPunct | classSymbol
		if was == bits&all {
			continue
		}
		out[r] = 0xE000 // of no class
		for _, k := range kinds {
			if bits&k.class != 0 {
				out[r] = k.rune
			}
		}
	}
	return out
})

// stringSplit matches one fixed string.
type stringSplit struct{ text string }

func (x *stringSplit) next(s string, i int) (int, int) {
	k := strings.Index(s[i:], x.text)
	if k < 0 {
		return len(s), len(s)
	}
	return i + k, i + k + len(x.text)
}

// classSplit matches single code points of some classes.
type classSplit struct {
	classes *classTable
	in      uint16
}

func (x *classSplit) next(s string, i int) (int, int) {
	i = x.classes.runNot(s, i, x.in)
	if i == len(s) {
		return i, i
	}
	_, n := x.classes.at(s, i)
	return i, i + n
}

// wordOrMark is \w+|[^\w\s]+, the pattern of Whitespace.
type wordOrMark struct{ classes *classTable }

func (x *wordOrMark) next(s string, i int) (int, int) {
	c := x.classes
	i = c.run(s, i, classBlank)
	if i == len(s) {
		return i, i
	}
	if b, _ := c.at(s, i); b&classWord != 0 {
		return i, c.run(s, i, classWord)
	}
	return i, c.runNot(s, i, classWord|classBlank)
}
