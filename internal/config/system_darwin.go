package config

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// hostThreads takes the performance cores where the processor has two kinds: a run is as slow as its slowest thread.
func hostThreads() (int, bool, string) {
	for _, name := range []string{"hw.perflevel0.physicalcpu", "hw.physicalcpu"} {
		if n, err := unix.SysctlUint32(name); err == nil && n > 0 {
			return int(n), false, fmt.Sprintf("%d cores (%s)", n, name)
		}
	}
	return runtime.NumCPU(), false, fmt.Sprintf("%d processors", runtime.NumCPU())
}

func hostMemory() (int64, string) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, "the size of the memory is not known"
	}
	return int64(n), "the machine's memory"
}
