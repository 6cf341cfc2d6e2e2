package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestFromBuildInfo(t *testing.T) {
	f := func(module string, settings []debug.BuildSetting, want string) {
		t.Helper()
		info := &debug.BuildInfo{Main: debug.Module{Version: module}, Settings: settings}
		if got := fromBuildInfo(info); got != want {
			t.Errorf("fromBuildInfo(%q, %v) = %q, want %q", module, settings, got, want)
		}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	f("v1.2.3", nil, "v1.2.3")
	f("v1.2.3", []debug.BuildSetting{commit}, "v1.2.3")
	f("(devel)", nil, "dev")
	f("(devel)", []debug.BuildSetting{commit}, "dev-0123456789ab")
	f("", []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}, "dev-0123456789ab-dirty")
	f("", []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}, "dev-0123456789ab")
	f("", []debug.BuildSetting{{Key: "vcs.revision", Value: "short"}}, "dev")
}

func TestVersionOfTheLinkerWins(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "v9.8.7"
	if got := resolve(); got != "v9.8.7" {
		t.Errorf("resolve() = %q, want the linker's v9.8.7", got)
	}
}
