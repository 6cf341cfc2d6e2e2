package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"ortserve/internal/config"
)

// machine describes where figures come from.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	System string `json:"system"`
	Load   string `json:"load"` // averages of 1, 5 and 15 minutes before the run
}

func describeMachine() machine {
	m := machine{CPU: config.Processor(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH}
	mem, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(mem)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseFloat(f[1], 64) // 0 where it is no number
			m.Memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], ", ")
	}
	return m
}

// usage is how much processor time was used so far, in seconds: by all, and by this program and one other process.
type usage struct {
	at        time.Time
	all, ours float64
	known     bool
}

const ticks = 100 // a second, USER_HZ of Linux

// readUsage reads the usage; ours is that of this program and of the process pid, where that is not 0.
func readUsage(pid int) usage {
	u := usage{at: time.Now()}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line) { // cpu user nice system idle iowait irq softirq steal guest guest_nice
		if n, err := strconv.ParseFloat(f, 64); err == nil && i != 4 && i != 5 && i < 9 {
			u.all += n / ticks
		}
	}
	u.known = true
	u.ours = processTime("self")
	if pid != 0 {
		u.ours += processTime(strconv.Itoa(pid))
	}
	return u
}

// processTime is what a process used so far, in seconds.
func processTime(pid string) float64 {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the name
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticks
}

// others is how many processors other processes used since before, a mean; 0 where that is not known.
func (u usage) others(before usage) float64 {
	if !u.known || !before.known {
		return 0
	}
	return max(0, (u.all-before.all-u.ours+before.ours)/u.at.Sub(before.at).Seconds())
}

// idle waits until other processes use less than limit processors for a while, at most for so long.
func idle(ctx context.Context, limit float64, wait time.Duration, say func(string, ...any)) error {
	end := time.Now().Add(wait)
	for {
		before := readUsage(0)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(3 * time.Second):
		}
		used := readUsage(0).others(before)
		if used < limit {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: other programs use %.1f of its %d processors (%.2f is the limit); end them, let this program "+
				"wait (-wait 10m), or compare all the same (-busy)", errBusy, used, runtime.NumCPU(), limit)
		}
		say("other programs use %.1f processors; waiting", used)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
		}
	}
}

// pss is the memory of a process in bytes, its share of shared pages; 0 where that is not known.
func pss(pid int) int64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
