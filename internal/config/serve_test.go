package config

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// environment is an env function of NAME=value pairs.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if n, v, _ := strings.Cut(p, "="); n == name {
				return v
			}
		}
		return ""
	}
}

func defaults() Serve {
	return Serve{
		Addr: "127.0.0.1:9112", Provider: "auto", Kernels: "auto", KV: "auto", Chunk: 256, Queue: 128, QueueTokens: 131072, Speculate: true,
		RequestTimeout: 10 * time.Minute, StallTimeout: 30 * time.Second, DrainDelay: 5 * time.Second, Drain: 20 * time.Second,
		LogFormat: "text",
	}
}

func TestParseServe(t *testing.T) {
	f := func(args string, env []string, change func(*Serve)) {
		t.Helper()
		want := defaults()
		change(&want)
		got, err := ParseServe(strings.Fields(args), environment(env...), nil)
		if err != nil {
			t.Errorf("%s %v: %v", args, env, err)
			return
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", args, env, diff)
		}
	}
	none := []string(nil)
	f("", none, func(*Serve) {})
	f("--addr localhost:80", none, func(c *Serve) { c.Addr = "localhost:80" })
	f("--addr [::1]:0 -slots=4", none, func(c *Serve) { c.Addr, c.Slots = "[::1]:0", 4 })
	f("--addr 127.8.8.8:1", none, func(c *Serve) { c.Addr = "127.8.8.8:1" })
	f("--addr :9112 --insecure-no-auth", none, func(c *Serve) { c.Addr, c.InsecureNoAuth = ":9112", true })
	f("--addr :9112", []string{"ORTSERVE_API_KEY=k"}, func(c *Serve) { c.Addr, c.Access.APIKey = ":9112", "k" })
	f("--addr :9112", []string{"ORTSERVE_ADMIN_KEY=k"}, func(c *Serve) { c.Addr, c.Access.AdminKey = ":9112", "k" })
	f("--addr :9112 --api-key-file /keys --key-requests-per-minute 10 --key-tokens-per-minute 1000", none, func(c *Serve) {
		c.Addr, c.Access.KeyFile, c.Access.KeyRequests, c.Access.KeyTokens = ":9112", "/keys", 10, 1000
	})
	f("--provider OpenVINO --provider-option device_type=GPU --provider-option a=b=c", none, func(c *Serve) {
		c.Provider, c.ProviderOptions = "openvino", map[string]string{"device_type": "GPU", "a": "b=c"}
	})
	f("--provider cuda --device 1 --provider-option gpu_mem_limit=1", none, func(c *Serve) {
		c.Provider, c.Device, c.ProviderOptions = "cuda", 1, map[string]string{"gpu_mem_limit": "1"}
	})
	f("--offline", none, func(c *Serve) { c.Offline = true })
	f("--alias gpt=a --alias x=b:c --any-model", none, func(c *Serve) {
		c.Aliases, c.AnyModel = map[string]string{"gpt": "a", "x": "b:c"}, true
	})
	f("--allow-host a.example --allow-host *.b.example --allow-origin https://c --public-discovery --strict", none, func(c *Serve) {
		c.Access.AllowHosts, c.Access.AllowOrigins = []string{"a.example", "*.b.example"}, []string{"https://c"}
		c.Access.PublicDiscovery, c.Access.Strict = true, true
	})
	f("", []string{"ORTSERVE_ADDR=0.0.0.0:9112", "ORTSERVE_INSECURE_NO_AUTH=1"}, func(c *Serve) { c.Addr, c.InsecureNoAuth = "0.0.0.0:9112", true })
	f("--model a --model b=org/c:d --model ./e=f --model g=/h/i", none, func(c *Serve) {
		c.Models = []ModelSource{{"", "a"}, {"b", "org/c:d"}, {"", "./e=f"}, {"g", "/h/i"}}
	})
	f("", []string{"ORTSERVE_MODEL=a, b=c"}, func(c *Serve) { c.Models = []ModelSource{{"", "a"}, {"b", "c"}} })
	f("--model z", []string{"ORTSERVE_MODEL=a,b=c"}, func(c *Serve) { c.Models = []ModelSource{{"", "z"}} })
	keep := func(d time.Duration) func(*Serve) { return func(c *Serve) { c.KeepAlive = &d } }
	f("--keep-alive 90s", none, keep(90*time.Second))
	f("--keep-alive 30", none, keep(30*time.Second))
	f("--keep-alive -1", none, keep(-time.Second))
	f("--keep-alive 0", none, keep(0))
	f("--max-len 4096", []string{"ORTSERVE_MAX_LEN=1024", "ORTSERVE_SLOTS=2"}, func(c *Serve) { c.MaxLen, c.Slots = 4096, 2 })
	f("--max-len 0", []string{"ORTSERVE_MAX_LEN=1024"}, func(*Serve) {})
	f("--onnxruntime /opt/libonnxruntime.so --provider cpu --kernels avx2 --kv f16 --threads 3", none, func(c *Serve) {
		c.Runtime, c.Provider, c.Kernels, c.KV, c.Threads = "/opt/libonnxruntime.so", "cpu", "avx2", "f16", 3
	})
	f("--memory-limit 6GiB", none, func(c *Serve) { c.MemoryLimit = 6 << 30 })
	f("--memory-limit 1.5gb", none, func(c *Serve) { c.MemoryLimit = 1_500_000_000 })
	f("--memory-limit 123", none, func(c *Serve) { c.MemoryLimit = 123 })
	f("--request-timeout 0 --stall-timeout 1m --drain-delay 0 --drain 2m30s", none, func(c *Serve) {
		c.RequestTimeout, c.StallTimeout, c.DrainDelay, c.Drain = 0, time.Minute, 0, 150*time.Second
	})
	f("--log-level debug --log-format json --chunk 512 --queue 0", none, func(c *Serve) {
		c.LogLevel, c.LogFormat, c.Chunk, c.Queue = slog.LevelDebug, "json", 512, 0
	})
	f("--queue-tokens 0 --speculate off --deterministic --cache-scope-header X-User --shared-prefix a --shared-prefix b", none, func(c *Serve) {
		c.QueueTokens, c.Speculate, c.Deterministic, c.ScopeHeader, c.SharedPrefix = 0, false, true, "X-User", []string{"a", "b"}
	})
	f("", []string{"ORTSERVE_SHARED_PREFIX=a,b"}, func(c *Serve) { c.SharedPrefix = []string{"a", "b"} })
	f("", []string{"ORTSERVE_LOG_LEVEL=warn"}, func(c *Serve) { c.LogLevel = slog.LevelWarn })
}

func TestParseServeRefuses(t *testing.T) {
	f := func(args string, env []string, want ...string) {
		t.Helper()
		c, err := ParseServe(strings.Fields(args), environment(env...), nil)
		if err == nil {
			t.Errorf("%s %v: no error, %+v", args, env, c)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s %v: error %q does not say %q", args, env, err, w)
			}
		}
		if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 250 {
			t.Errorf("%s %v: not one short line: %q", args, env, err)
		}
	}
	none := []string(nil)
	f("--slots 0x", none, "--slots", `"0x"`, "between 0 and 1024")
	f("--slots 1025", none, "--slots", `"1025"`, "1024")
	f("--slots -1", none, "--slots", `"-1"`)
	f("--slots 1e99", none, "--slots")
	f("", []string{"ORTSERVE_SLOTS=many"}, "ORTSERVE_SLOTS", `"many"`, "between 0 and 1024")
	f("--chunk 1", none, "--chunk", "between 2 and 65536")
	f("--threads 2 --slots", none, "--slots needs a value")
	f("--slot 3", none, "--slot is not a flag")
	f("--"+strings.Repeat("x", 5000), none, "is not a flag")
	f("smollm2", none, `"smollm2" is not a flag`)
	f("--provider a/b", none, "--provider", `"a/b"`, "auto, cpu, cuda")
	f("--provider dml --provider-option x", none, "--provider-option", "KEY=VALUE")
	f("--provider dml --provider-option x=1 --provider-option x=2", none, "--provider-option", "x a second time")
	f("--provider-option x=1", none, "--provider-option", "--provider is auto")
	f("--provider cpu --provider-option x=1", none, "--provider-option", "--provider is cpu")
	f("--provider cpu --device 1", none, "--device is CUDA's", "--provider is cpu")
	f("--provider cuda --provider-option device_id=1", none, "--device")
	f("--device -1", none, "--device", `"-1"`)
	f("--memory-limit lots", none, "--memory-limit", `"lots"`, "8GiB")
	f("--memory-limit -1", none, "--memory-limit")
	f("--memory-limit NaN", none, "--memory-limit")
	f("--memory-limit 9e18GiB", none, "--memory-limit")
	f("--drain 30", none, "--drain", `"30"`, "like 30s")
	f("--drain -1s", none, "--drain", "between 0s and 720h")
	f("--stall-timeout 0", none, "--stall-timeout", "between 1s and 720h")
	f("--log-level loud", none, "--log-level", "debug, info, warn, error")
	f("--log-level info+2", none, "--log-level", "debug, info, warn, error")
	f("--speculate on", none, "--speculate", "auto, off")
	f("--queue-tokens -1", none, "--queue-tokens", "between 0 and")
	f("--log-format xml", none, "--log-format", "text, json")
	f("--insecure-no-auth=maybe", none, "--insecure-no-auth", "true or false")
	f("", []string{"ORTSERVE_INSECURE_NO_AUTH=maybe"}, "ORTSERVE_INSECURE_NO_AUTH", "true or false")
	f("--model =x", none, "--model", "no name")
	f("--model x=", none, "--model", "no model")
	f("", []string{"ORTSERVE_MODEL=a,,b"}, "ORTSERVE_MODEL", "no model")
	f("--addr 9112", none, "--addr", `"9112"`, "HOST:PORT")
	f("--addr localhost:http", none, "--addr", "port")
	f("--addr localhost:65536", none, "--addr", "port")
	f("--alias x", none, "--alias", "NAME=MODEL")
	f("--alias x=", none, "--alias", "NAME=MODEL")
	f("--allow-host", none, "--allow-host needs a value")
	f("--allow-host=", none, "--allow-host", "*.example.com")
	f("--key-requests-per-minute -1", none, "--key-requests-per-minute", "between 0 and")
	f("--addr :9112", none, "--addr", "--insecure-no-auth", "ORTSERVE_API_KEY", "--api-key-file")
	f("--addr 0.0.0.0:9112", none, "--addr", "0.0.0.0:9112", "--insecure-no-auth")
	f("--addr [::]:9112", none, "--insecure-no-auth")
	f("--addr 192.168.1.2:9112", none, "--insecure-no-auth")
	f("--addr example.org:9112", none, "--insecure-no-auth")
	f("", []string{"ORTSERVE_ADDR=0.0.0.0:1"}, "--insecure-no-auth")
	if _, err := ParseServe([]string{"--model", ""}, environment(), nil); err == nil {
		t.Error("an empty --model was taken")
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := ParseServe([]string{"--slots", "2", "--help"}, environment(), &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error %v, want flag.ErrHelp", err)
	}
	text := out.String()
	for _, o := range new(Serve).flags().flags {
		if !strings.Contains(text, "  --"+o.name) {
			t.Errorf("--%s is not in the help text", o.name)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 101 || strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
			t.Errorf("line too long or with spaces at its end: %q", line)
		}
	}
}

// The default that a help text gives in parentheses is what the flag has when it is not given.
func TestHelpDefaults(t *testing.T) {
	parentheses := regexp.MustCompile(`\(([^) ]+)\)`)
	checked := 0
	for _, o := range new(Serve).flags().flags {
		m := parentheses.FindStringSubmatch(o.help)
		if m == nil {
			continue
		}
		got, err := ParseServe([]string{"--" + o.name, m[1]}, environment(), nil)
		if err != nil {
			t.Errorf("--%s %s: %v", o.name, m[1], err)
			continue
		}
		want := defaults()
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("--%s %s is not the default (-default +got):\n%s", o.name, m[1], diff)
		}
		checked++
	}
	if checked < 10 {
		t.Errorf("%d help texts give a default, want at least 10", checked)
	}
}

// The real environment's variables of ours must not reach the tests above.
func TestEnvironmentIsGiven(t *testing.T) {
	t.Setenv("ORTSERVE_SLOTS", "7")
	c, err := ParseServe(nil, environment(), nil)
	if err != nil || c.Slots != 0 {
		t.Errorf("slots %d, %v: the environment was read past env", c.Slots, err)
	}
	if c, err := ParseServe(nil, os.Getenv, nil); err != nil || c.Slots != 7 {
		t.Errorf("slots %d, %v, want 7", c.Slots, err)
	}
}

func TestBytes(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	f(0, "0 bytes")
	f(1023, "1023 bytes")
	f(1024, "1 KiB")
	f(1536<<20, "1.5 GiB")
	f(24<<30, "24 GiB")
	f(5<<40, "5 TiB")
}
