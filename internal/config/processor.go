package config

import (
	"os"
	"runtime"
	"strings"
)

// Processor names the processor and what of its instructions matters most for matrix products, as far as the system tells.
func Processor() string {
	name, flags := runtime.GOARCH, ""
	info, _ := os.ReadFile("/proc/cpuinfo") // other systems have none
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			name = strings.TrimSpace(value)
		case "flags":
			flags = " " + strings.TrimSpace(value) + " "
		}
	}
	for _, f := range []string{"avx512_vnni", "avx_vnni", "amx_int8"} {
		if strings.Contains(flags, " "+f+" ") {
			name += ", " + f
		}
	}
	return name
}
