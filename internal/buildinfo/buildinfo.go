// Package buildinfo says which build this is.
package buildinfo

import "runtime/debug"

// version is set by the linker: -ldflags "-X ortserve/internal/buildinfo.version=v1.2.3".
var version string

// Version is the version of this build: what the linker was given, else the module's version or the commit that Go recorded,
// else "dev".
var Version = resolve()

func resolve() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	return fromBuildInfo(info)
}

func fromBuildInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return "dev"
	}
	return "dev-" + commit + dirty
}
