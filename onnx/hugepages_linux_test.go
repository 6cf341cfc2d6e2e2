package onnx

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestUseHugePages looks at what the kernel says of memory that is wholly used, and of memory that is not.
func TestUseHugePages(t *testing.T) {
	used, err := mapMemory(8 * hugePage)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.free() }()
	sparse, err := mapMemory(8 * hugePage)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sparse.free() }()
	for i := range used {
		used[i] = byte(i >> 12)
	}
	for i := 0; i < len(sparse); i += hugePage / 2 {
		sparse[i] = 1
	}
	before := resident(t)
	moved, err := UseHugePages()
	if err != nil {
		t.Fatal(err)
	}
	if moved == 0 {
		t.Skip("this kernel moves no pages on request (Linux 6.1 and transparent huge pages)")
	}
	if moved < 7*hugePage {
		t.Errorf("%d bytes were moved, want at least %d", moved, 7*hugePage)
	}
	for i := range used {
		if used[i] != byte(i>>12) {
			t.Fatalf("byte %d is %d, want %d", i, used[i], byte(i>>12))
		}
	}
	if grown := resident(t) - before; grown > hugePage {
		t.Errorf("the process grew by %d bytes: untouched memory was filled", grown)
	}
}

// resident is the memory of the process, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

func TestAllotted(t *testing.T) {
	f := func(line string, want bool) {
		t.Helper()
		from, to, ok := allotted(line + "\n")
		if ok != want || ok && (from != 0x7f0000000000 || to != 0x7f0000400000) {
			t.Errorf("%q: %x-%x, %v, want %v", line, from, to, ok, want)
		}
	}
	f("7f0000000000-7f0000400000 rw-p 00000000 00:00 0 ", true)
	f("7f0000000000-7f0000400000 rw-p 00000000 00:00 0                          [heap]", true)
	f("7f0000000000-7f0000400000 rw-p 00000000 00:00 0                          [stack]", false)
	f("7f0000000000-7f0000400000 r--p 00000000 00:00 0 ", false)
	f("7f0000000000-7f0000400000 rw-p 00000000 fe:00 1234                       /lib/libonnxruntime.so", false)
	f("7f0000000000-7f0000400000 rw-s 00000000 00:05 77                         /dev/zero (deleted)", false)
	f("c000000000-c000400000 rw-p 00000000 00:00 0 ", false)
	f("", false)
}
