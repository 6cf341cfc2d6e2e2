package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"ortserve/models"
)

// Ref is what a person calls a model of a hub: org/repo[:quant], with the hub's host before it or not.
type Ref struct {
	ID    string // "org/repo"
	Quant string // which of the repository's forms; "" chooses
}

// ParseRef reads a reference. The error is a models.ErrName.
func ParseRef(s string) (Ref, error) {
	for _, host := range []string{"https://huggingface.co/", "huggingface.co/", "https://hf.co/", "hf.co/"} {
		if rest, ok := strings.CutPrefix(s, host); ok {
			s = rest
			break
		}
	}
	id, quant, tagged := strings.Cut(s, ":")
	if tagged && quant == "" {
		return Ref{}, fmt.Errorf("%w: %q has nothing after the colon", models.ErrName, clip(s))
	}
	if quant == "latest" {
		quant = ""
	}
	if err := checkID(id); err != nil {
		return Ref{}, err
	}
	if _, err := models.CleanName(s); err != nil {
		return Ref{}, err
	}
	return Ref{ID: id, Quant: quant}, nil
}

// Name is the model's name in the store.
func (r Ref) Name() string {
	if r.Quant == "" {
		return r.ID + ":latest"
	}
	return r.ID + ":" + r.Quant
}

// checkID checks the name of a repository.
func checkID(id string) error {
	if strings.Count(id, "/") != 1 {
		return fmt.Errorf("%w: %q is not a repository of a hub, like onnx-community/Llama-3.2-1B-Instruct", models.ErrName, clip(id))
	}
	_, err := models.CleanName(id)
	return err
}

// check refuses a file whose name leads elsewhere, or whose contents could not be verified.
func (f *File) check() error {
	switch {
	case !fs.ValidPath(f.Path) || f.Path == "." || len(f.Path) > 1024 || strings.ContainsAny(f.Path, "\\:\x00") || printable(f.Path) != f.Path:
		return fmt.Errorf("the list holds the file name %q, which is not taken", clip(f.Path))
	case f.Size < 0:
		return fmt.Errorf("the list says that %s has %d bytes", clip(f.Path), f.Size)
	case f.SHA256 != "" && !isHex(f.SHA256, 64), f.SHA256 == "" && f.Blob != "" && !isHex(f.Blob, 40):
		return fmt.Errorf("the list has no digest of %s but %q", clip(f.Path), clip(f.id()))
	}
	return nil
}

// errNoDigest is the error of a file that could not be verified.
var errNoDigest = errors.New("the list names no digest of it, so it could not be verified")

// isHex says whether s is that many lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// clip bounds what an error repeats of a value.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
