package config

import (
	"path"
	"slices"
	"strings"
)

// cgroups returns the directories of the process's control group and of the groups above it, as far as they are mounted:
// a limit of any of them holds. controller is a name of version 1, empty for version 2. (cgroups(7), proc(5))
func (s system) cgroups(controller string) []string {
	group, ok := s.group(controller)
	if !ok {
		return nil
	}
	mount, root, ok := s.mount(controller)
	if !ok {
		return nil
	}
	// root is the group that is mounted. A group outside of it (a container that sees the host's paths) is not visible
	// by its name: what is mounted is then the container's own.
	below, inside := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
	if !inside || below != "" && below[0] != '/' || strings.Contains(below, "..") {
		below = ""
	}
	dirs := []string{mount}
	for part := range strings.SplitSeq(strings.Trim(below, "/"), "/") {
		if part != "" {
			dirs = append(dirs, path.Join(dirs[len(dirs)-1], part))
		}
	}
	return dirs
}

// group returns the path of the process's control group: lines of /proc/self/cgroup are number:controllers:path.
func (s system) group(controller string) (string, bool) {
	for line := range strings.Lines(s.read("proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if slices.Contains(strings.Split(f[1], ","), controller) && (controller != "" || f[0] == "0") {
			return f[2], true
		}
	}
	return "", false
}

// mount returns where a hierarchy is mounted and which group is its root there: lines of /proc/self/mountinfo are
// id parent major:minor root mountpoint options… - type source superoptions.
func (s system) mount(controller string) (point, root string, ok bool) {
	for line := range strings.Lines(s.read("proc/self/mountinfo")) {
		front, back, found := strings.Cut(line, " - ")
		f, b := strings.Fields(front), strings.Fields(back)
		if !found || len(f) < 5 || len(b) < 3 {
			continue
		}
		if controller == "" && b[0] == "cgroup2" ||
			controller != "" && b[0] == "cgroup" && slices.Contains(strings.Split(b[2], ","), controller) {
			return f[4], f[3], true
		}
	}
	return "", "", false
}
