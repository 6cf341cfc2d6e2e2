package crashfs

import (
	"context"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mount mounts a file system in a temporary directory, until the test ends. Where the system does not let it, the test is skipped with
// the reason.
func Mount(t testing.TB) (dir string, log *Log) {
	t.Helper()
	behind, dir := t.TempDir(), t.TempDir()
	log = &Log{inodes: map[uint64]int{}}
	root := &fs.LoopbackRoot{Path: behind}
	var st syscall.Stat_t
	if err := syscall.Stat(behind, &st); err != nil {
		t.Fatal(err)
	}
	root.Dev = st.Dev
	top := &node{fs.LoopbackNode{RootData: root}, log}
	root.RootNode = top
	server, err := fs.Mount(dir, top, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, DisableXAttrs: true}})
	if err != nil {
		t.Skipf("no file system can be mounted here (it takes FUSE and the rights for it): %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir, log
}

// node is a file or folder that notes its changes.
type node struct {
	fs.LoopbackNode

	log *Log
}

// WrapChild lets what is found below a node be one too.
func (n *node) WrapChild(_ context.Context, _ fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{fs.LoopbackNode{RootData: n.RootData}, n.log}
}

func (n *node) number() uint64 { return n.StableAttr().Ino }

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child, h, f, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	n.log.made(makeFile, n.number(), name, child.StableAttr().Ino)
	return child, &handle{h.(*fs.LoopbackFile), n.log, n.log.inode(child.StableAttr().Ino)}, f, 0
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, f, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		n.log.add(change{kind: truncate, node: n.log.inode(n.number())})
	}
	return &handle{h.(*fs.LoopbackFile), n.log, n.log.inode(n.number())}, f, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == 0 {
		n.log.made(makeDir, n.number(), name, child.StableAttr().Ino)
	}
	return child, errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == 0 {
		n.log.add(change{kind: remove, dir: n.log.inode(n.number()), name: name})
	}
	return errno
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Rmdir(ctx, name)
	if errno == 0 {
		n.log.add(change{kind: remove, dir: n.log.inode(n.number()), name: name})
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	child := n.GetChild(name)
	if flags != 0 || child == nil {
		return syscall.ENOTSUP
	}
	errno := n.LoopbackNode.Rename(ctx, name, parent, to, flags)
	if errno == 0 {
		n.log.add(change{
			kind: rename, dir: n.log.inode(n.number()), name: name, node: n.log.inode(child.StableAttr().Ino),
			to: n.log.inode(parent.EmbeddedInode().StableAttr().Ino), new: to,
		})
	}
	return errno
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Setattr(ctx, f, in, out)
	if size, ok := in.GetSize(); ok && errno == 0 {
		n.log.add(change{kind: truncate, node: n.log.inode(n.number()), at: int64(size)})
	}
	return errno
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, f, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return folder{h.(dirHandle), n.log}, f, 0
}

// What would change files or names in other ways is refused.

func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

// dirHandle is what go-fuse's own handle of an open folder can do, but for what Fsyncdir notes.
type dirHandle interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// folder is an open folder.
type folder struct {
	dirHandle

	log *Log
}

func (f folder) Fsyncdir(context.Context, uint32) syscall.Errno {
	f.log.add(change{kind: syncDir})
	return 0
}

// handle is an open file. It does nothing that Log would not see: no writes of several parts, none past this process.
type handle struct {
	file *fs.LoopbackFile
	log  *Log
	node int
}

func (h *handle) Read(ctx context.Context, buf []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	return h.file.Read(ctx, buf, at)
}

func (h *handle) Write(ctx context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	n, errno := h.file.Write(ctx, data, at)
	if errno == 0 {
		h.log.add(change{kind: write, node: h.node, at: at, data: append([]byte(nil), data[:n]...)})
	}
	return n, errno
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	h.log.add(change{kind: syncFile, node: h.node})
	return 0
}

func (h *handle) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return h.file.Getattr(ctx, out)
}

func (h *handle) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return h.file.Setattr(ctx, in, out)
}

func (h *handle) Flush(ctx context.Context) syscall.Errno   { return h.file.Flush(ctx) }
func (h *handle) Release(ctx context.Context) syscall.Errno { return h.file.Release(ctx) }
