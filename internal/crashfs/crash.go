package crashfs

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Loss says how much of what is not sure is lost.
type Loss int

const (
	All   Loss = iota // everything
	Data              // what was written; all names and lengths are there
	Names             // names; what was written is there
	Some              // each by chance
)

// Log notes the changes of a file system in their order. Inodes are numbers of the Log's own; the root is 0.
type Log struct {
	mu      sync.Mutex
	changes []change
	inodes  map[uint64]int // by the numbers of the directory that is passed on to; the root is not in it
	next    int
}

// change is one of names, of contents, or what makes such durable.
type change struct {
	kind kind
	dir  int // where name is
	name string
	node int
	to   int // of a rename: the folder
	new  string

	at   int64 // of a write; of a truncation the length
	data []byte
}

type kind int

const (
	makeFile kind = iota
	makeDir
	rename
	remove
	write
	truncate
	syncFile
	syncDir
)

// Len is the number of changes so far.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.changes)
}

// Turns are the numbers of changes after which another kind of change comes, and the last: between them the same is made more of.
func (l *Log) Turns() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []int
	for i := range l.changes {
		if i+1 == len(l.changes) || l.changes[i].kind != write || l.changes[i+1].kind != write {
			all = append(all, i+1)
		}
	}
	return all
}

// add notes a change.
func (l *Log) add(c change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, c)
}

// made notes a new file or folder, whatever had its number before.
func (l *Log) made(k kind, dir uint64, name string, node uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	parent := l.inodes[dir]
	l.inodes[node] = l.next
	l.changes = append(l.changes, change{kind: k, dir: parent, name: name, node: l.next})
}

func (l *Log) inode(n uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inodes[n]
}

// file is what is known of a file's contents.
type file struct {
	sure    []byte
	pending []change
	folder  bool
}

// Crash writes into dst, which exists, what may be left of the file system when the power fails after the first n changes. The source
// chooses where loss is Some.
func (l *Log) Crash(dst string, n int, loss Loss, r *rand.Rand) error {
	l.mu.Lock()
	changes := l.changes[:n]
	l.mu.Unlock()
	files, names, sure := map[int]*file{0: {folder: true}}, []change(nil), 0
	for _, c := range changes {
		switch c.kind {
		case makeFile, makeDir:
			files[c.node] = &file{folder: c.kind == makeDir}
			names = append(names, c)
		case rename, remove:
			names = append(names, c)
		case write, truncate:
			files[c.node].pending = append(files[c.node].pending, c)
		case syncFile:
			f := files[c.node]
			f.sure, f.pending = apply(f.sure, f.pending, func() bool { return true }), nil
		case syncDir:
			sure = len(names)
		}
	}
	there := len(names)
	switch loss {
	case All, Names:
		there = sure
	case Some:
		there = sure + r.IntN(len(names)-sure+1)
	case Data:
	}
	keep := func() bool { return loss == Names || loss == Some && r.IntN(2) == 0 }
	tree := map[int]map[string]int{}
	for _, c := range names[:there] {
		move(tree, c)
	}
	return writeTree(dst, tree, 0, func(node int) ([]byte, bool) {
		f := files[node]
		if loss == All || loss == Some && r.IntN(2) == 0 {
			return f.sure, f.folder // the length is not there either
		}
		return apply(f.sure, f.pending, keep), f.folder
	})
}

// apply changes contents; of writes that are not kept there is the length alone.
func apply(data []byte, pending []change, keep func() bool) []byte {
	data = append([]byte(nil), data...)
	for _, c := range pending {
		end := int(c.at) + len(c.data)
		if more := end - len(data); more > 0 {
			data = append(data, make([]byte, more)...)
		}
		switch {
		case c.kind == truncate:
			data = data[:c.at]
		case keep():
			copy(data[c.at:], c.data)
		}
	}
	return data
}

// move changes names.
func move(tree map[int]map[string]int, c change) {
	if tree[c.dir] == nil {
		tree[c.dir] = map[string]int{}
	}
	switch c.kind {
	case rename:
		delete(tree[c.dir], c.name)
		if tree[c.to] == nil {
			tree[c.to] = map[string]int{}
		}
		tree[c.to][c.new] = c.node
	case remove:
		delete(tree[c.dir], c.name)
	default:
		tree[c.dir][c.name] = c.node
	}
}

// writeTree writes the folder dir and what is in it.
func writeTree(path string, tree map[int]map[string]int, dir int, contents func(int) (data []byte, folder bool)) error {
	for name, node := range maps.All(tree[dir]) {
		at := filepath.Join(path, name)
		data, folder := contents(node)
		if !folder {
			if err := os.WriteFile(at, data, 0o600); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(os.Mkdir(at, 0o700), writeTree(at, tree, node, contents)); err != nil {
			return err
		}
	}
	return nil
}
