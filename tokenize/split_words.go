package tokenize

import "strings"

// A splitter finds the matches of one pattern. next returns the first match that starts at or after s[i], i < len(s); a
// match is never empty, and start is len(s) where there is none. What a call looks at beyond the match it returns is
// at most one run of white space or letters, so that a whole text takes linear time.
type splitter interface {
	next(s string, i int) (start, end int)
}

// wordSplit is the family of patterns that began with OpenAI's cl100k_base. Llama 3 writes it
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
type wordSplit struct {
	classes *classTable
	letters uint16 // what words are made of: letters, in newer models marks too
	digits  int    // longest piece of digits
}

func (w *wordSplit) next(s string, i int) (int, int) {
	c := w.classes
	b, n := c.at(s, i)
	if b&w.letters != 0 {
		return i, c.run(s, i+n, w.letters)
	}
	if s[i] == '\'' {
		if k := contraction(s[i:]); k > 0 {
			return i, i + k
		}
	}
	if b&classNumber != 0 {
		return i, c.digitRun(s, i+n, w.digits-1)
	}
	first := b
	if i+n < len(s) && s[i] != '\r' && s[i] != '\n' {
		b, m := c.at(s, i+n)
		if b&w.letters != 0 {
			return i, c.run(s, i+n+m, w.letters)
		}
		if s[i] == ' ' {
			first = b
		}
	}
	other := w.letters | classLetter | classNumber | classSpace
	if first&other == 0 {
		return i, lineEnds(s, c.runNot(s, i+n, other), false)
	}
	return i, c.blanks(s, i)
}

// digitRun returns the end of at most n digits from s[i] on.
func (t *classTable) digitRun(s string, i, n int) int {
	for ; n > 0 && i < len(s); n-- {
		b, m := t.at(s, i)
		if b&classNumber == 0 {
			break
		}
		i += m
	}
	return i
}

// blanks returns the end of what \s*[\r\n]+|\s+(?!\S)|\s+ matches in the white space at s[i]: all up to the last line
// end; else all but the last character, so that this one can lead a word; else that one.
func (t *classTable) blanks(s string, i int) int {
	end, line := i, 0
	for end < len(s) {
		b, n := t.at(s, end)
		if b&classSpace == 0 {
			break
		}
		if s[end] == '\n' || s[end] == '\r' {
			line = end + 1
		}
		end += n
	}
	if line > 0 {
		return line
	}
	return t.keepLast(s, i, end)
}

// keepLast returns the end of what \s+(?!\S)|\s+ matches in the white space s[i:end].
func (t *classTable) keepLast(s string, i, end int) int {
	if end == len(s) {
		return end
	}
	if _, last := t.before(s, end); last > i {
		return last
	}
	return end
}

// lineEnds returns the end of [\r\n]*, or of [\r\n/]*, at s[i].
func lineEnds(s string, i int, slash bool) int {
	for i < len(s) && (s[i] == '\n' || s[i] == '\r' || slash && s[i] == '/') {
		i++
	}
	return i
}

// contraction returns the length of what (?i:'s|'t|'re|'ve|'m|'ll|'d) matches at the start of s. Without case, s is
// also the long s, U+017F.
func contraction(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && s[2]|0x20 == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && s[2]|0x20 == 'l' {
			return 3
		}
	}
	if strings.HasPrefix(s[1:], "ſ") {
		return 1 + len("ſ")
	}
	return 0
}

// gpt2Split is the pattern of GPT-2, the one inside ByteLevel:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
type gpt2Split struct{ classes *classTable }

func (g *gpt2Split) next(s string, i int) (int, int) {
	c := g.classes
	if s[i] == '\'' && i+1 < len(s) {
		switch s[i+1] {
		case 's', 't', 'm', 'd':
			return i, i + 2
		case 'r', 'v', 'l':
			if rest := s[i+1:]; strings.HasPrefix(rest, "re") || strings.HasPrefix(rest, "ve") || strings.HasPrefix(rest, "ll") {
				return i, i + 3
			}
		}
	}
	b, n := c.at(s, i)
	j := i + n
	if s[i] == ' ' && j < len(s) {
		if next, m := c.at(s, j); next&classSpace == 0 {
			b, j = next, j+m
		}
	}
	switch {
	case b&classLetter != 0:
		return i, c.run(s, j, classLetter)
	case b&classNumber != 0:
		return i, c.run(s, j, classNumber)
	case b&classSpace == 0:
		return i, c.runNot(s, j, classLetter|classNumber|classSpace)
	}
	return i, c.keepLast(s, i, c.run(s, j, classSpace))
}

// caseSplit is the family of OpenAI's o200k_base, where a word also ends before an upper-case letter that follows a
// lower-case one:
//
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
//	\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
type caseSplit struct {
	classes      *classTable
	digits       int
	contractions bool
}

const (
	caseCommon = classOther | classMark // in both halves of a word
	caseUpper  = classUpper | caseCommon
	caseLower  = classLower | caseCommon
)

func (w *caseSplit) next(s string, i int) (int, int) {
	c := w.classes
	b, n := c.at(s, i)
	if b&classNumber != 0 {
		return i, c.digitRun(s, i+n, w.digits-1)
	}
	// A character before the word may belong to it; a mark may be that or the word's first.
	lead := b&classLetter == 0 && s[i] != '\r' && s[i] != '\n'
	word := -1
	if lead {
		word = w.lower(s, i+n)
	}
	if word < 0 && b&(classLetter|classMark) != 0 {
		word = w.lower(s, i)
	}
	if word < 0 && lead {
		word = w.upper(s, i+n)
	}
	if word < 0 && b&(classLetter|classMark) != 0 {
		word = w.upper(s, i)
	}
	if word >= 0 {
		if w.contractions && word < len(s) && s[word] == '\'' {
			word += contraction(s[word:])
		}
		return i, word
	}
	first := b
	if s[i] == ' ' && i+1 < len(s) {
		first, _ = c.at(s, i+1)
	}
	const other = classLetter | classNumber | classSpace
	if first&other == 0 {
		return i, lineEnds(s, c.runNot(s, i+n, other), true)
	}
	return i, c.blanks(s, i)
}

// lower returns the end of [upper]*[lower]+ at s[i], or -1.
func (w *caseSplit) lower(s string, i int) int {
	c, common := w.classes, -1
	for i < len(s) {
		b, n := c.at(s, i)
		if b&caseUpper == 0 {
			if b&classLower != 0 {
				return c.run(s, i+n, caseLower)
			}
			break
		}
		i += n
		if b&caseCommon != 0 {
			common = i
		}
	}
	return common
}

// upper returns the end of [upper]+[lower]* at s[i], or -1.
func (w *caseSplit) upper(s string, i int) int {
	end := w.classes.run(s, i, caseUpper)
	if end == i {
		return -1
	}
	return w.classes.run(s, end, caseLower)
}

// deepseekSplit is the third pattern of DeepSeek V3, which leaves digits and control characters unmatched:
//
//	[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
type deepseekSplit struct{ classes *classTable }

func (d *deepseekSplit) next(s string, i int) (int, int) {
	for i < len(s) {
		if end := d.match(s, i); end > i {
			return i, end
		}
		_, n := d.classes.at(s, i)
		i += n
	}
	return i, i
}

func (d *deepseekSplit) match(s string, i int) int {
	const word, mark = classLetter | classMark, classPunct | classSymbol
	c := d.classes
	b, n := c.at(s, i)
	j := i + n
	if b&mark != 0 && n == 1 && j < len(s) && asciiLetter(s[j]) {
		for j < len(s) && asciiLetter(s[j]) {
			j++
		}
		return j
	}
	if b&word != 0 {
		return c.run(s, j, word)
	}
	next, m := uint16(0), 0
	if j < len(s) {
		next, m = c.at(s, j)
	}
	if b&mark == 0 && s[i] != '\r' && s[i] != '\n' && next&word != 0 {
		return c.run(s, j+m, word)
	}
	if b&mark != 0 || s[i] == ' ' && next&mark != 0 {
		return lineEnds(s, c.run(s, j, mark), false)
	}
	if b&classSpace != 0 {
		return c.blanks(s, i)
	}
	return i
}

func asciiLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// digitSplit is \p{N}{1,max}.
type digitSplit struct {
	classes *classTable
	max     int
}

func (d *digitSplit) next(s string, i int) (int, int) {
	i = d.classes.runNot(s, i, classNumber)
	return i, d.classes.digitRun(s, i, d.max)
}

// cjkSplit is [一-龥぀-ゟ゠-ヿ]+.
type cjkSplit struct{}

func (cjkSplit) next(s string, i int) (int, int) {
	start := -1
	for k, r := range s[i:] {
		in := 0x4E00 <= r && r <= 0x9FA5 || 0x3040 <= r && r <= 0x30FF
		if in && start < 0 {
			start = i + k
		} else if !in && start >= 0 {
			return start, i + k
		}
	}
	if start < 0 {
		return len(s), len(s)
	}
	return start, len(s)
}
