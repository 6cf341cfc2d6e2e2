package testenv

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// ResidentBytes is how much memory the process has in RAM: proc_pid_status(5), VmRSS.
func (s *Server) ResidentBytes(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("VmRSS of %q: %v", b, err)
	}
	return kib << 10
}
