package config

import "fmt"

// memoryShare is the part of the memory that a server may take, in percent.
const memoryShare = 85

// Threads returns how many threads a run should use, whether the container's processor quota is what limits them (then
// threads must not spin: they would use up the quota while they wait), and why, for the log.
func Threads() (n int, quota bool, why string) { return hostThreads() }

// procShare is one processor for goroutines of so many.
const procShare = 4

// Procs returns how many of the processors goroutines should use (GOMAXPROCS) beside a model, which takes all of them. Every further
// one that lies idle is woken at each token to look for work, and takes a core from the run to do so. Decoding through HTTP on two cores
// reaches 98 % of the bare graph's speed with one, 91 % with two.
func Procs(cpus int) int { return max(cpus/procShare, 1) }

// MemoryLimit returns how many bytes the server may take, 0 where it cannot be known, and why, for the log.
func MemoryLimit() (bytes int64, why string) {
	total, why := hostMemory()
	if total <= 0 {
		return 0, why
	}
	return total / 100 * memoryShare, fmt.Sprintf("%d %% of %s: %s", memoryShare, Bytes(total), why)
}
