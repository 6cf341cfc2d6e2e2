package routes

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Key is who a request comes from, as far as its key says.
type Key struct {
	Name  string // for the log; never the key itself
	Group string // whom requests count for, and the bound of prefix reuse
	// Admin: it may change what the server holds. Proxy: what it says of its users is believed (--cache-scope-header).
	Admin, Proxy bool

	hash [sha256.Size]byte
}

// Keys are the keys that let requests in. A file of keys is read again when it changes.
type Keys struct {
	fixed []Key // of the environment
	path  string

	mu     sync.Mutex
	file   []Key
	state  fileState
	looked time.Time
}

// fileState tells one state of a file from another.
type fileState struct {
	modified time.Time
	size     int64
}

// The limits of a key file, and how often it is looked at.
const (
	maxKeyFile  = 1 << 20
	keyInterval = time.Second
)

// LoadKeys returns the keys of the environment and of a file; empty ones are left out. It returns nil where there is none at all:
// then no key is required.
//
// The file has a key a line, as name:group:scope:key. The scope is inference, proxy or admin, each of which includes the ones before
// it; an empty group is the name. The key may stand as sha256: and 64 hexadecimal digits. Empty lines and those that begin with # are
// skipped.
func LoadKeys(inference, admin, path string) (*Keys, error) {
	k := &Keys{path: path}
	if inference != "" {
		k.fixed = append(k.fixed, Key{Name: "default", Group: "default", Proxy: true, hash: sha256.Sum256([]byte(inference))})
	}
	if admin != "" {
		k.fixed = append(k.fixed, Key{Name: "admin", Group: "admin", Proxy: true, Admin: true, hash: sha256.Sum256([]byte(admin))})
	}
	if path == "" {
		if len(k.fixed) == 0 {
			return nil, nil //nolint:nilnil // no key is required: that is no error
		}
		return k, nil
	}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("--api-key-file: %w", err)
	}
	if len(k.file) == 0 {
		return nil, fmt.Errorf("--api-key-file: %s lists no key", path)
	}
	return k, nil
}

// read reads the file. Where that fails the keys stay as they were.
func (k *Keys) read() error {
	f, err := os.Open(k.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	k.state = fileState{info.ModTime(), info.Size()}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return err
	}
	if len(text) > maxKeyFile {
		return fmt.Errorf("%s is larger than %d bytes", k.path, maxKeyFile)
	}
	keys, err := parseKeys(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.file = keys
	return nil
}

// refresh reads the file again if it has changed. It looks at most once in keyInterval.
func (k *Keys) refresh(now time.Time, log *slog.Logger) {
	if k.path == "" || now.Sub(k.looked) < keyInterval && now.After(k.looked) {
		return
	}
	k.looked = now
	info, err := os.Stat(k.path)
	if err == nil && (fileState{info.ModTime(), info.Size()}) == k.state {
		return
	}
	if err == nil {
		err = k.read()
	}
	if err != nil {
		log.Error("the key file cannot be read; the keys stay as they were", "error", err)
		return
	}
	log.Info("the key file was read again", "keys", len(k.file))
}

// find returns the key that text is. How long it takes says nothing of how near text is to a key.
func (k *Keys) find(text string, now time.Time, log *slog.Logger) (Key, bool) {
	k.mu.Lock()
	k.refresh(now, log)
	file := k.file
	k.mu.Unlock()
	hash := sha256.Sum256([]byte(text))
	at := 0 // one more than the key's place in both lists; 0 is nowhere
	for i := range k.fixed {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], k.fixed[i].hash[:]), i+1, at)
	}
	for i := range file {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], file[i].hash[:]), len(k.fixed)+i+1, at)
	}
	switch {
	case at == 0:
		return Key{}, false
	case at <= len(k.fixed):
		return k.fixed[at-1], true
	}
	return file[at-1-len(k.fixed)], true
}

// parseKeys reads the lines of a key file. Errors name the line, never the key.
func parseKeys(text string) ([]Key, error) {
	var keys []Key
	seen := map[[sha256.Size]byte]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err == nil && seen[key.hash] {
			err = errors.New("the key stands in the file twice")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		seen[key.hash] = true
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(line string) (Key, error) {
	parts := strings.SplitN(line, ":", 4)
	if len(parts) < 4 || parts[3] == "" {
		return Key{}, errors.New("must be name:group:scope:key")
	}
	key := Key{Name: parts[0], Group: parts[1]}
	if key.Group == "" {
		key.Group = key.Name
	}
	if !plainID(key.Name) || !plainID(key.Group) {
		return Key{}, errors.New("name and group must be letters, digits, '-', '_' and '.', at most 128")
	}
	switch parts[2] {
	case "inference":
	case "proxy":
		key.Proxy = true
	case "admin":
		key.Proxy, key.Admin = true, true
	default:
		return Key{}, errors.New("the scope must be inference, proxy or admin")
	}
	digest, hashed := strings.CutPrefix(parts[3], "sha256:")
	if !hashed {
		key.hash = sha256.Sum256([]byte(parts[3]))
		return key, nil
	}
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) != sha256.Size {
		return Key{}, errors.New("sha256: must be followed by 64 hexadecimal digits")
	}
	copy(key.hash[:], b)
	return key, nil
}
