package onnx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePage      = 2 << 20 // of x86-64, and of arm64 with pages of 4 KiB
	goHeap        = 0xc0    // Go's heap lies at 0xc0<<32 and above
	madvCollapse  = 25      // MADV_COLLAPSE: madvise(2), Linux 6.1
	mappingsLimit = 64 << 20
)

// UseHugePages moves the memory that ONNX Runtime allotted in small pages, above all the packed weights, into huge ones: a run reads all of
// it, and looks up a page every 4 KiB otherwise. Only what is in use to the last page is moved, so that no memory is added, and
// nothing that is untouched, as most of the KV memory. It returns how many bytes it moved; where the kernel cannot, none. The
// error is of reading the process's mappings.
func UseHugePages() (moved int64, err error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	maps, err := io.ReadAll(io.LimitReader(f, mappingsLimit))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		from, to, ok := allotted(line)
		if !ok {
			continue
		}
		for at := (from + hugePage - 1) &^ (hugePage - 1); at+hugePage <= to; at += hugePage {
			err := collapse(at)
			switch {
			case err == nil:
				moved += hugePage
			case errors.Is(err, unix.EINVAL): // this kernel has no MADV_COLLAPSE, or not for this mapping
				at = to
			}
		}
	}
	return moved, nil
}

// allotted reads a line of /proc/self/maps (proc_pid_maps(5)). It is false for what is not private memory without a file, or Go's heap.
func allotted(line string) (from, to uintptr, ok bool) {
	var permissions, offset, device string
	var inode uint64
	if _, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &permissions, &offset, &device, &inode); err != nil {
		return 0, 0, false
	}
	return from, to, permissions == "rw-p" && inode == 0 && from>>32 != goHeap && !strings.Contains(line, "[stack")
}

// collapse makes the huge page at that address one, if every small page of it is there.
func collapse(at uintptr) error {
	var resident [hugePage / 4096]byte
	pages := hugePage / os.Getpagesize()
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, at, hugePage, uintptr(unsafe.Pointer(&resident[0]))); errno != 0 {
		return errno
	}
	for _, r := range resident[:pages] {
		if r&1 == 0 {
			return unix.ENOENT
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, hugePage, madvCollapse); errno != 0 {
		return errno
	}
	return nil
}
