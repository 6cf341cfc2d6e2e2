package config

import "fmt"

// memoryShare is the part of the memory that a server may take, in percent.
const memoryShare = 85

// Threads returns how many threads a run should use, whether the container's processor quota is what limits them (then
// threads must not spin: they would use up the quota while they wait), and why, for the log.
func Threads() (n int, quota bool, why string) { return hostThreads() }

// MemoryLimit returns how many bytes the server may take, 0 where it cannot be known, and why, for the log.
func MemoryLimit() (bytes int64, why string) {
	total, why := hostMemory()
	if total <= 0 {
		return 0, why
	}
	return total / 100 * memoryShare, fmt.Sprintf("%d %% of %s: %s", memoryShare, Bytes(total), why)
}
