package models

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// The errors of names. ErrNotFound is also what a valid name that no model has gives.
var (
	ErrNotFound = errors.New("model not found")
	ErrName     = errors.New("model name is not valid")
)

const (
	maxSegments   = 3  // host/org/repo at most
	maxSegment    = 96 // bytes of one part of a name or of a tag; repo@tag stays below the 255 of file systems
	defaultTag    = "latest"
	tagSeparator  = ":"
	fileSeparator = "@" // between repo and tag in a directory's name; never in a name
)

// CleanName returns name with its tag, "latest" where it has none: "smollm2:135m", "org/repo:latest". A part consists of
// ASCII letters, digits, '.', '_' and '-' and begins with a letter or a digit. The error is an ErrName.
func CleanName(name string) (string, error) {
	repo, tag, tagged := strings.Cut(name, tagSeparator)
	if !tagged {
		tag = defaultTag
	}
	parts := strings.Split(repo, "/")
	if len(parts) > maxSegments {
		return "", fmt.Errorf("%w: %q has %d parts, at most %d are allowed", ErrName, clip(name), len(parts), maxSegments)
	}
	for _, p := range append(parts, tag) {
		if err := checkSegment(p); err != nil {
			return "", fmt.Errorf("%w: %q %w", ErrName, clip(name), err)
		}
	}
	return repo + tagSeparator + tag, nil
}

func checkSegment(s string) error {
	switch {
	case s == "":
		return errors.New("has an empty part")
	case len(s) > maxSegment:
		return fmt.Errorf("has a part of %d bytes, at most %d are allowed", len(s), maxSegment)
	case !isAlphanumeric(s[0]):
		return errors.New("has a part that begins with neither a letter nor a digit")
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("holds %q; letters, digits, '.', '_' and '-' are allowed", c)
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// relativePath returns the directory of a clean name, relative to the store's root, with slashes.
func relativePath(clean string) string {
	return strings.Replace(clean, tagSeparator, fileSeparator, 1)
}

// nameOf returns the clean name that relativePath maps to rel.
func nameOf(rel string) (string, bool) {
	dir, base := path.Split(rel)
	repo, tag, ok := strings.Cut(base, fileSeparator)
	if !ok {
		return "", false
	}
	name, err := CleanName(dir + repo + tagSeparator + tag)
	return name, err == nil
}

// directoryName makes a name for a directory outside a store out of its base name.
func directoryName(base string) string {
	if name, ok := nameOf(base); ok {
		return name
	}
	clean := []byte(base)
	for i, c := range clean {
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			clean[i] = '-'
		}
	}
	s := strings.TrimLeft(string(clean), "._-")
	s = s[:min(len(s), maxSegment)]
	if s == "" {
		s = "model"
	}
	return s + tagSeparator + defaultTag
}

// clip bounds what an error repeats of a name.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
