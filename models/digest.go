package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// A digest is the SHA-256 over every file of the model in the order of their names: the name, the size and the contents.
// A file of more than digestWhole bytes is not read whole but in digestBlocks blocks of digestBlock bytes, evenly spaced
// from its first byte to its last, so that a digest of many gigabytes takes milliseconds. So it tells models apart and
// sees every change of a configuration, tokenizer or small graph, every change of a size, and a new training or
// quantization of the weights; it does not prove that weights are undamaged.
const (
	digestWhole  = 32 << 20
	digestBlocks = 64
	digestBlock  = 64 << 10
)

// part is one file of a model.
type part struct {
	name     string // with slashes
	size     int64
	modified time.Time
}

// partsOf lists the files of the model whose graph is called graph, in the order of their names: the configurations, the
// graph and its external data. Where the graph could not be read these are the files beside it whose names begin with the
// graph's (model.onnx.data, model.onnx_data, model.onnx_data_1).
func partsOf(f files, graph string, w *weights) ([]part, error) {
	names := []string{graph}
	for _, name := range []string{
		fileGenai, fileConfig, fileGeneration, fileTokenizer, fileTokenizerConfig, fileTemplate, fileCustom,
	} {
		if _, err := fs.Stat(f.fsys, name); err == nil {
			names = append(names, name)
		}
	}
	if w == nil {
		beside, err := besideGraph(f, graph)
		if err != nil {
			return nil, err
		}
		names = append(names, beside...)
	} else {
		names = append(names, w.files...)
	}
	slices.Sort(names)
	parts := make([]part, 0, len(names))
	for _, name := range names {
		info, err := fs.Stat(f.fsys, name)
		if err != nil {
			return nil, f.fail(name, err)
		}
		if !info.Mode().IsRegular() {
			return nil, f.fail(name, errors.New("is not a regular file"))
		}
		parts = append(parts, part{name: name, size: info.Size(), modified: info.ModTime()})
	}
	return parts, nil
}

// besideGraph lists the files in the graph's folder whose names begin with the graph's.
func besideGraph(f files, graph string) ([]string, error) {
	folder, base := path.Split(graph)
	entries, err := fs.ReadDir(f.fsys, path.Clean(folder))
	if err != nil {
		return nil, f.fail(folder, err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); name != base && strings.HasPrefix(name, base) {
			names = append(names, folder+name)
		}
	}
	return names, nil
}

func digest(f files, parts []part) (string, error) {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s\x00%d\x00", p.name, p.size)
		if err := hashFile(h, f.fsys, p); err != nil {
			return "", f.fail(p.name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(h io.Writer, fsys fs.FS, p part) error {
	file, err := fsys.Open(p.name)
	if err != nil {
		return err
	}
	defer file.Close()
	if p.size <= digestWhole {
		_, err := io.Copy(h, io.LimitReader(file, p.size))
		return err
	}
	at, ok := file.(io.ReaderAt)
	if !ok {
		return errors.New("cannot be read at an offset")
	}
	for i := range int64(digestBlocks) {
		offset := (p.size - digestBlock) / (digestBlocks - 1) * i
		if i == digestBlocks-1 {
			offset = p.size - digestBlock
		}
		if _, err := io.Copy(h, io.NewSectionReader(at, offset, digestBlock)); err != nil {
			return err
		}
	}
	return nil
}
