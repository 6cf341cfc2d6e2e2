package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// tree writes files (path -> contents) below a new root.
func tree(t *testing.T, files map[string]string) system {
	t.Helper()
	root := t.TempDir()
	for name, contents := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(contents+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return system{root}
}

// machine is a tree of processors two to a core, n in all, with the affinity mask allowed, and further files.
func machine(n int, allowed string, more map[string]string) map[string]string {
	files := map[string]string{
		"proc/self/status": "Name:\ttest\nCpus_allowed:\tff\nCpus_allowed_list:\t" + allowed + "\nMems_allowed:\t1",
		"proc/meminfo":     "MemTotal:       32000000 kB\nMemFree: 1 kB\nMemAvailable:   16000000 kB",
	}
	for c := range n {
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", c)] = fmt.Sprintf("%d,%d", c%(n/2), c%(n/2)+n/2)
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

const (
	v2mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
	v1mount = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
)

func TestProcs(t *testing.T) {
	for cpus, want := range map[int]int{1: 1, 2: 1, 7: 1, 8: 2, 64: 16} {
		if got := Procs(cpus); got != want {
			t.Errorf("%d of %d processors are for goroutines, want %d", got, cpus, want)
		}
	}
}

func TestThreads(t *testing.T) {
	f := func(what string, files map[string]string, wantN int, wantQuota bool, wantWhy string) {
		t.Helper()
		n, quota, why := tree(t, files).threads()
		if n != wantN || quota != wantQuota || !strings.Contains(why, wantWhy) {
			t.Errorf("%s: %d, %v, %q, want %d, %v, %q", what, n, quota, why, wantN, wantQuota, wantWhy)
		}
	}
	f("no limits", machine(16, "0-15", nil), 8, false, "8 physical cores, 16 processors")
	f("both threads of two cores", machine(16, "0,1,8,9", nil), 2, false, "2 physical cores, 4 processors")
	f("one thread of each core", machine(16, "8-15", nil), 8, false, "8 physical cores, 8 processors")
	f("no topology", map[string]string{"proc/self/status": "Cpus_allowed_list:\t0-2,5"}, 4, false, "4 physical cores")

	v2 := func(group string, limits map[string]string) map[string]string {
		limits["proc/self/cgroup"] = "0::" + group
		limits["proc/self/mountinfo"] = "29 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + v2mount
		return machine(16, "0-15", limits)
	}
	f("v2, no limit", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "max 100000"}), 8, false, "16 processors")
	f("v2, in a container", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "250000 100000"}), 2, true, "quota of 2.5 processors")
	f("v2, less than one", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "50000 100000"}), 1, true, "quota of 0.5")
	f("v2, quota above the cores, below the processors", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "1200000 100000"}), 8, true, "quota of 12")
	f("v2, quota of all processors", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "1600000 100000"}), 8, false, "16 processors")
	f("v2, limit of the slice above", v2("/a.slice/b.service", map[string]string{
		"sys/fs/cgroup/a.slice/cpu.max":           "300000 100000",
		"sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000",
	}), 3, true, "quota of 3")
	f("v2, group outside of what is mounted", v2("/../../x", map[string]string{"sys/fs/cgroup/cpu.max": "400000 100000"}), 4, true, "quota of 4")
	f("v2, damaged", v2("/", map[string]string{"sys/fs/cgroup/cpu.max": "what is this"}), 8, false, "")

	v1 := func(group, root string, limits map[string]string) map[string]string {
		limits["proc/self/cgroup"] = "5:memory:" + group + "\n4:cpu,cpuacct:" + group + "\n0::/"
		limits["proc/self/mountinfo"] = strings.ReplaceAll(v1mount, " / /sys", " "+root+" /sys")
		return machine(16, "0-15", limits)
	}
	const cpu = "sys/fs/cgroup/cpu,cpuacct/"
	f("v1, no limit", v1("/", "/", map[string]string{cpu + "cpu.cfs_quota_us": "-1", cpu + "cpu.cfs_period_us": "100000"}), 8, false, "")
	f("v1, host paths in a container", v1("/docker/4f", "/docker/4f", map[string]string{
		cpu + "cpu.cfs_quota_us": "150000", cpu + "cpu.cfs_period_us": "50000",
	}), 3, true, "quota of 3")
	f("v1, own group", v1("/x", "/", map[string]string{
		cpu + "x/cpu.cfs_quota_us": "700000", cpu + "x/cpu.cfs_period_us": "100000",
		cpu + "cpu.cfs_quota_us": "-1", cpu + "cpu.cfs_period_us": "100000",
	}), 7, true, "quota of 7")
}

func TestMemory(t *testing.T) {
	f := func(what string, files map[string]string, want int64, wantWhy string) {
		t.Helper()
		got, why := tree(t, files).memory()
		if got != want || !strings.Contains(why, wantWhy) {
			t.Errorf("%s: %d, %q, want %d, %q", what, got, why, want, wantWhy)
		}
	}
	const available = 16000000 << 10
	v2 := map[string]string{"proc/self/cgroup": "0::/a/b", "proc/self/mountinfo": v2mount}
	with := func(base map[string]string, pairs ...string) map[string]string {
		files := machine(2, "0-1", base)
		for i := 0; i < len(pairs); i += 2 {
			files[pairs[i]] = pairs[i+1]
		}
		return files
	}
	f("nothing known", map[string]string{}, 0, "not known")
	f("no limit", machine(2, "0-1", nil), available, "available memory")
	f("v2, no limit", with(v2, "sys/fs/cgroup/a/b/memory.max", "max"), available, "available memory")
	f("v2", with(v2, "sys/fs/cgroup/a/b/memory.max", "4294967296"), 4<<30, "container's memory limit")
	f("v2, above", with(v2, "sys/fs/cgroup/a/memory.max", "2147483648", "sys/fs/cgroup/a/b/memory.max", "4294967296"), 2<<30, "container")
	f("v2, high", with(v2, "sys/fs/cgroup/a/b/memory.max", "max", "sys/fs/cgroup/a/b/memory.high", "1073741824"), 1<<30, "container")
	f("v2, limit above what is available", with(v2, "sys/fs/cgroup/a/b/memory.max", "99999999999999"), available, "available memory")
	v1 := map[string]string{"proc/self/cgroup": "5:memory:/docker/4f", "proc/self/mountinfo": strings.ReplaceAll(v1mount, " / /sys", " /docker/4f /sys")}
	f("v1", with(v1, "sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472"), 3<<30, "container")
	f("v1, no limit", with(v1, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"), available, "available memory")
}

// On the machine that runs the test the answers must be possible ones.
func TestThisMachine(t *testing.T) {
	n, _, why := Threads()
	if n < 1 || n > runtime.NumCPU() {
		t.Errorf("%d threads (%s) on %d processors", n, why, runtime.NumCPU())
	}
	limit, why := MemoryLimit()
	if limit < 64<<20 || !strings.Contains(why, "85 % of") {
		t.Errorf("memory limit %d (%s)", limit, why)
	}
}
