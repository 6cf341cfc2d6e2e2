package config

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// system reads what Linux says below root, which is "/" but in tests.
type system struct{ root string }

// read returns the trimmed contents of a file, empty where it cannot be read.
func (s system) read(path string) string {
	data, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// threads is Threads on Linux: physical cores within the affinity mask, at most the whole processors of the quota.
func (s system) threads() (n int, quota bool, why string) {
	cpus := s.allowedCPUs()
	cores := s.cores(cpus)
	n = max(cores, 1)
	why = fmt.Sprintf("%d physical cores, %d processors allowed", cores, len(cpus))
	limit := s.cpuQuota()
	if limit >= float64(len(cpus)) {
		return n, false, why
	}
	n = max(min(n, int(limit)), 1)
	return n, true, fmt.Sprintf("%s, a quota of %.4g processors", why, limit)
}

// allowedCPUs returns the numbers of the processors in the affinity mask, which holds the container's cpuset too.
func (s system) allowedCPUs() []int {
	for line := range strings.Lines(s.read("proc/self/status")) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			if cpus := parseCPUList(strings.TrimSpace(list)); len(cpus) > 0 {
				return cpus
			}
		}
	}
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus
}

// parseCPUList reads a list like 0-3,8,10-11 (cpuset(7), "List format"); nil where it is not one.
func parseCPUList(list string) []int {
	const most = 1 << 16
	var cpus []int
	for r := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(r, "-")
		if !isRange {
			to = from
		}
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || low < 0 || high < low || high > most {
			return nil
		}
		for c := low; c <= high; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus
}

// cores counts the physical cores of cpus. A processor whose core is not known counts as one.
func (s system) cores(cpus []int) int {
	seen := map[string]bool{}
	for _, c := range cpus {
		topology := fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/", c)
		core := s.read(topology + "thread_siblings_list")
		if core == "" {
			core = fmt.Sprint("unknown ", c)
		}
		seen[core] = true
	}
	return len(seen)
}

// cpuQuota returns how many processors' time the process may use, +Inf for no limit.
func (s system) cpuQuota() float64 {
	limit := math.Inf(1)
	take := func(quota, period string) {
		q, err1 := strconv.ParseFloat(quota, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && q > 0 && p > 0 { // "max" and -1 are no limit
			limit = min(limit, q/p)
		}
	}
	for _, dir := range s.cgroups("") {
		if f := strings.Fields(s.read(dir + "/cpu.max")); len(f) == 2 {
			take(f[0], f[1])
		}
	}
	for _, dir := range s.cgroups("cpu") {
		take(s.read(dir+"/cpu.cfs_quota_us"), s.read(dir+"/cpu.cfs_period_us"))
	}
	return limit
}

// memory returns the smaller of what is available and the container's limit, 0 where neither is known.
func (s system) memory() (bytes int64, why string) {
	bytes, why = 0, "the size of the memory is not known"
	take := func(n int64, what string) {
		if n > 0 && (bytes == 0 || n < bytes) {
			bytes, why = n, what
		}
	}
	for line := range strings.Lines(s.read("proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil && kib < math.MaxInt64>>10 {
				take(kib<<10, "available memory")
			}
		}
	}
	limit := func(file string) {
		if n, err := strconv.ParseInt(s.read(file), 10, 64); err == nil { // "max" is no limit
			take(n, "the container's memory limit")
		}
	}
	for _, dir := range s.cgroups("") {
		limit(dir + "/memory.max")
		limit(dir + "/memory.high") // above it the kernel slows the process down
	}
	for _, dir := range s.cgroups("memory") {
		limit(dir + "/memory.limit_in_bytes")
	}
	return bytes, why
}
