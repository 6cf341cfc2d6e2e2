package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"ortserve/models"
	"ortserve/tokenize"
)

const tokenizeHelp = `Usage: ortserve tokenize --model NAME|DIR [flags] <in >out

Turns text into token ids and, with --decode, ids into text. No token is added that the text does not hold.

Without --json all of the input is one text, and the output is its ids on one line. With --json each line in is an object,
{"text": "…", "raw": false}, and each line out is {"ids": […]}; with --decode the other way round. The answer to a line is
written before the next line is waited for. Where raw is not true, control tokens written in a text are plain text.

`

// runTokenize turns the input into ids, or back.
func runTokenize(ctx context.Context, args []string, t terminal) error {
	f := flag.NewFlagSet("tokenize", flag.ContinueOnError)
	f.SetOutput(t.err)
	f.Usage = func() {
		fmt.Fprint(t.err, tokenizeHelp)
		f.PrintDefaults()
	}
	model := f.String("model", os.Getenv("ORTSERVE_MODEL"), "`NAME` of a model in the store, or a folder with its tokenizer.json; also ORTSERVE_MODEL")
	asJSON := f.Bool("json", false, "JSON lines in and out")
	decode := f.Bool("decode", false, "ids in, text out")
	count := f.Bool("count", false, "write how many ids, not which")
	raw := f.Bool("raw", false, "without --json: control tokens written in the text count")
	special := f.Bool("skip-special", false, "with --decode: special tokens give no text")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is no flag; the text comes from standard input", f.Arg(0))
	case *model == "":
		return errors.New("--model is missing")
	case *decode && *count:
		return errors.New("--decode and --count do not go together")
	case *asJSON && *raw:
		return errors.New(`--raw and --json do not go together: each line has its own "raw"`)
	case *special && !*decode:
		return errors.New("--skip-special is for --decode")
	}
	tok, err := openTokenizer(*model)
	if err != nil {
		return fmt.Errorf("--model %s: %w", *model, err)
	}
	in, out := bufio.NewReaderSize(t.in, 1<<16), bufio.NewWriterSize(t.out, 1<<16)
	c := tokenizeCommand{tok, in, out, *count, *special}
	switch {
	case *asJSON && *decode:
		err = c.lines(ctx, c.decodeLine)
	case *asJSON:
		err = c.lines(ctx, c.encodeLine)
	case *decode:
		err = c.decode(ctx)
	default:
		err = c.encode(*raw)
	}
	return errors.Join(err, out.Flush())
}

// openTokenizer loads the tokenizer of a folder or of a model in the store.
func openTokenizer(model string) (*tokenize.Tokenizer, error) {
	if _, err := os.Stat(filepath.Join(model, "tokenizer.json")); err == nil {
		return tokenize.Load(model)
	}
	if info, err := os.Stat(model); err == nil && info.IsDir() {
		return nil, errors.New("there is no tokenizer.json in the folder")
	}
	var m *models.Model
	err := withStore(func(s *models.Store) (err error) {
		m, err = s.Find(model)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tokenize.Load(m.Dir)
}

type tokenizeCommand struct {
	tok         *tokenize.Tokenizer
	in          *bufio.Reader
	out         *bufio.Writer
	count       bool
	skipSpecial bool
}

// encode reads all of the input as one text.
func (c *tokenizeCommand) encode(raw bool) error {
	text, err := io.ReadAll(c.in)
	if err != nil {
		return err
	}
	ids := c.tok.Encode(string(text), tokenize.Options{LiteralAll: !raw})
	if c.count {
		_, err = fmt.Fprintln(c.out, len(ids))
		return err
	}
	_, err = c.out.Write(append(appendIDs(nil, ids, ' '), '\n'))
	return err
}

// decode reads ids between white space and writes their text as they come.
func (c *tokenizeCommand) decode(ctx context.Context) error {
	s := c.tok.NewStream(c.skipSpecial)
	var word []byte
	for ctx.Err() == nil {
		b, err := c.in.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err == nil && b > ' ' {
			if word = append(word, b); len(word) > 10 {
				return fmt.Errorf("%q is no token id", word)
			}
			continue
		}
		if len(word) > 0 {
			id, perr := strconv.ParseInt(string(word), 10, 32)
			if perr != nil {
				return fmt.Errorf("%q is no token id", word)
			}
			if err := c.known(int32(id)); err != nil {
				return err
			}
			if err := c.write(s.Next([]int32{int32(id)})); err != nil {
				return err
			}
			word = word[:0]
		}
		if err != nil {
			return c.write(s.Next(nil))
		}
	}
	return ctx.Err()
}

// known refuses an id that stands for nothing.
func (c *tokenizeCommand) known(id int32) error {
	if id < 0 || int(id) >= c.tok.Vocab() {
		return fmt.Errorf("%d is no token id of this model, whose vocabulary has %d", id, c.tok.Vocab())
	}
	return nil
}

// write writes a text, and hands it on where more input has to be waited for.
func (c *tokenizeCommand) write(text string) error {
	if _, err := c.out.WriteString(text); err != nil {
		return err
	}
	if c.in.Buffered() == 0 {
		return c.out.Flush()
	}
	return nil
}

// lines answers each line of the input.
func (c *tokenizeCommand) lines(ctx context.Context, answer func(line []byte) ([]byte, error)) error {
	for n := 1; ctx.Err() == nil; n++ {
		line, err := c.in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			out, lerr := answer(line)
			if lerr != nil {
				return fmt.Errorf("line %d: %w", n, lerr)
			}
			if err := c.write(string(out) + "\n"); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
	return ctx.Err()
}

func (c *tokenizeCommand) encodeLine(line []byte) ([]byte, error) {
	var text *string
	var raw bool
	if err := readObject(line, map[string]any{"text": &text, "raw": &raw}); err != nil {
		return nil, err
	}
	if text == nil {
		return nil, errors.New(`"text" is missing`)
	}
	ids := c.tok.Encode(*text, tokenize.Options{LiteralAll: !raw})
	if c.count {
		return fmt.Appendf(nil, `{"count": %d}`, len(ids)), nil
	}
	return append(appendIDs([]byte(`{"ids": [`), ids, ','), "]}"...), nil
}

func (c *tokenizeCommand) decodeLine(line []byte) ([]byte, error) {
	var ids *[]int32
	if err := readObject(line, map[string]any{"ids": &ids}); err != nil {
		return nil, err
	}
	if ids == nil {
		return nil, errors.New(`"ids" is missing`)
	}
	for _, id := range *ids {
		if err := c.known(id); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]string{"text": c.tok.Decode(*ids, c.skipSpecial)})
	return bytes.TrimSpace(out.Bytes()), err
}

// readObject reads one object whose members are those of fields, each at most once. Where encoding/json takes names in any case, and puts
// another character in the place of what is none, the line is refused: its ids would be of another text.
func readObject(line []byte, fields map[string]any) error {
	if !utf8.Valid(line) {
		return errors.New("it is not UTF-8")
	}
	if s := loneSurrogate(line); s != "" {
		return fmt.Errorf("the lone surrogate %s is no character", s)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("an object is expected"), err)
	}
	given := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder lets nothing else stand here
		if fields[name] == nil {
			return fmt.Errorf("unknown field %q", name)
		}
		if given[name] {
			return fmt.Errorf("%q is given twice", name)
		}
		given[name] = true
		if err := d.Decode(fields[name]); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// loneSurrogate returns the first escape of JSON that is half a character, or nothing.
func loneSurrogate(line []byte) string {
	for i := 0; i+1 < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		r, ok := escape16(line[i:])
		if !ok {
			i++ // another escape
			continue
		}
		if utf16.IsSurrogate(r) {
			low, _ := escape16(line[i+6:])
			if utf16.DecodeRune(r, low) == utf8.RuneError {
				return string(line[i : i+6])
			}
			i += 6
		}
		i += 5
	}
	return ""
}

// escape16 reads an escape of four hexadecimal digits that b begins with.
func escape16(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// appendIDs writes ids with a separator.
func appendIDs(b []byte, ids []int32, separator byte) []byte {
	for i, id := range ids {
		if i > 0 {
			b = append(b, separator)
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return b
}
