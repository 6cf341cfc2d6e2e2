package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// cgroup makes a control group with a quota of processors and a limit of memory, version 1 or 2, and returns a program that enters it and
// then runs binary. peak reads how much memory the group has used at most. It skips the test where groups cannot be made.
func cgroup(t *testing.T, cpus float64, memory int64) (program string, peak func() int64) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("ortserve-test-%d", os.Getpid())
	var groups []string
	group := func(parent string, settings map[string]string) bool {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Logf("%v", err)
			return false
		}
		groups = append(groups, dir)
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		for file, value := range settings {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644); err != nil {
				t.Logf("%v", err)
				return false
			}
		}
		return true
	}
	const period = 100_000 // microseconds
	quota := strconv.Itoa(int(cpus * period))
	used := "memory.peak"
	var ok bool
	if _, err := os.Stat(root + "/cgroup.controllers"); err == nil {
		ok = group(root, map[string]string{"cpu.max": quota + " " + strconv.Itoa(period), "memory.max": strconv.FormatInt(memory, 10)})
	} else {
		used = "memory.max_usage_in_bytes"
		ok = group(root+"/cpu", map[string]string{"cpu.cfs_quota_us": quota}) &&
			group(root+"/memory", map[string]string{"memory.limit_in_bytes": strconv.FormatInt(memory, 10)})
	}
	if !ok {
		t.Skip("no control group can be made here, so quota and limit are tested on made-up files only (internal/config)")
	}
	var script strings.Builder
	script.WriteString("#!/bin/sh\n")
	for _, g := range groups {
		fmt.Fprintf(&script, "echo $$ > %s/cgroup.procs || exit 1\n", g)
	}
	fmt.Fprintf(&script, "exec %s \"$@\"\n", binary)
	program = filepath.Join(t.TempDir(), "enter")
	if err := os.WriteFile(program, []byte(script.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func() int64 {
		b, err := os.ReadFile(filepath.Join(groups[len(groups)-1], used))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestContainerLimits starts the server under a quota of one processor and a limit of memory, as a container has them.
func TestContainerLimits(t *testing.T) {
	const limit = 700 << 20
	program, peak := cgroup(t, 1, limit)
	dir := t.TempDir()
	// 128 KiB a token: the usual 8 slots of 8,192 would take 9 GiB.
	model := testmodel.Config{Layers: 32, KVHeads: 8, Heads: 8, HeadSize: 64, Hidden: 64, Positions: 20_000}
	if err := testmodel.Write(dir, model); err != nil {
		t.Fatal(err)
	}
	s := testenv.Start(t, program, "--model", "tiny="+dir, "--log-level", "debug")
	m := s.WaitLog(t, regexp.MustCompile(`msg="the machine" threads=(\d+) .*spin=(\w+) memory_limit="([^"]+)"`))
	if m[1] != "1" || m[2] != "false" {
		t.Errorf("%s threads and spin=%s under a quota of one processor, want 1 that does not spin", m[1], m[2])
	}
	if want := "595 MiB"; m[3] != want {
		t.Errorf("the memory limit is %s, want 85 %% of 700 MiB, %s", m[3], want)
	}
	m = s.WaitLog(t, regexp.MustCompile(`msg="fewer slots or a shorter window than usual".*slots=(\d+) max_len=(\d+)`))
	if m[1] != "1" || m[2] == "8192" {
		t.Errorf("%s slots of %s tokens, want 1 of fewer than 8192", m[1], m[2])
	}
	window, err := strconv.Atoi(m[2])
	if err != nil {
		t.Fatal(err)
	}
	// Fill the window, so that every page of the KV memory is touched.
	a := post(t, s.URL+"/api/generate", `{"model":"tiny","prompt":"Go on.","raw":true,"stream":false,"options":{"temperature":0}}`)
	got := decode[struct {
		Count  int    `json:"eval_count"`
		Prompt int    `json:"prompt_eval_count"`
		Reason string `json:"done_reason"`
	}](t, a)
	if got.Reason != "length" || got.Prompt+got.Count != window {
		t.Errorf("%d and %d tokens (%s), want %d together", got.Prompt, got.Count, got.Reason, window)
	}
	if p := peak(); p >= limit {
		t.Errorf("the server used %d bytes of the group's %d", p, limit)
	} else {
		t.Logf("window of %d tokens filled with %d MiB of %d", window, p>>20, limit>>20)
	}
}
