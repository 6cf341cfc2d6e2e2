package tokenize

import (
	"strings"
	"unicode/utf8"
)

// Byte-level BPE writes each byte as one printable character: those that are printable in Latin-1 as themselves, the
// others as U+0100 and on, in order (GPT-2's encoder.py).
var (
	byteChar [256]rune
	charByte [0x100 + 68]int16 // -1: no byte's character
)

func init() {
	next := rune(0x100)
	for i := range charByte {
		charByte[i] = -1
	}
	for b := range byteChar {
		r := rune(b)
		if printable := '!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r; !printable {
			r = next
			next++
		}
		byteChar[b] = r
		charByte[r] = int16(b)
	}
}

// byteChars writes the characters that stand for the bytes of s.
func byteChars(s string) string {
	var b strings.Builder
	b.Grow(2 * len(s))
	for i := range len(s) {
		b.WriteRune(byteChar[s[i]])
	}
	return b.String()
}

// charBytes returns the bytes that the characters of s stand for, and false where one of them stands for none.
func charBytes(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if int(r) >= len(charByte) || charByte[r] < 0 {
			return "", false
		}
		b = append(b, byte(charByte[r]))
	}
	return string(b), true
}

// validText returns s with each maximal part that is not UTF-8 replaced by U+FFFD, as Python's
// decode(errors="replace") and Rust's from_utf8_lossy do (Unicode 16, section 3.9, "U+FFFD Substitution of Maximal
// Subparts").
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); {
		n, ok := runeLength(s[i:])
		if ok {
			b = append(b, s[i:i+n]...)
		} else {
			b = append(b, "\uFFFD"...)
		}
		i += n
	}
	return string(b)
}

// runeLength returns the length of the code point at the start of s; where there is none, of the longest part that
// begins one (at least 1) and false.
func runeLength(s string) (int, bool) {
	need, low, high := 0, byte(0x80), byte(0xBF)
	switch c := s[0]; {
	case c < 0x80:
		return 1, true
	case 0xC2 <= c && c <= 0xDF:
		need = 2
	case c == 0xE0:
		need, low = 3, 0xA0
	case c == 0xED:
		need, high = 3, 0x9F
	case 0xE1 <= c && c <= 0xEF:
		need = 3
	case c == 0xF0:
		need, low = 4, 0x90
	case c == 0xF4:
		need, high = 4, 0x8F
	case 0xF1 <= c && c <= 0xF3:
		need = 4
	default:
		return 1, false
	}
	for i := 1; i < need; i++ {
		if i == len(s) || s[i] < low || high < s[i] {
			return i, false
		}
		low, high = 0x80, 0xBF
	}
	return need, true
}

// incomplete returns how many bytes at the end of b may be the beginning of one code point.
func incomplete(b []byte) int {
	for n := 1; n <= min(3, len(b)); n++ {
		tail := b[len(b)-n:]
		if tail[0]&0xC0 == 0x80 {
			continue
		}
		if k, ok := runeLength(string(tail)); !ok && k == n && utf8.RuneStart(tail[0]) && tail[0] >= 0xC2 && tail[0] <= 0xF4 {
			return n
		}
		return 0
	}
	return 0
}
