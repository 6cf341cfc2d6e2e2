package config

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Serve is the configuration of the server.
type Serve struct {
	Addr           string
	Access         Access
	InsecureNoAuth bool
	Models         []ModelSource     // the first is the default; none: the store's
	Aliases        map[string]string // further names, and the names of the models they mean
	AnyModel       bool              // a name that nothing serves means the first model
	KeepAlive      *time.Duration    // nil: the pool's own
	Offline        bool              // pulls take what a cache holds, and ask no hub

	Runtime     string // path of the runtime library; empty: look for it
	Provider    string // "auto", "cpu", "cuda", or another of the runtime library's in lower case
	Device      int    // CUDA's; the first is 0
	Kernels     string // on the processor: "auto", "onnxruntime" or an instruction set
	KV          string // what KV memory is made of: "auto", "f32" or "f16"
	Threads     int    // 0: Threads()
	MemoryLimit int64  // bytes; 0: MemoryLimit()

	ProviderOptions map[string]string // for the provider, by its own names; nil: none

	Slots  int // sequences decoded at once; 0: 8, fewer where memory is short
	MaxLen int // tokens a sequence may hold; 0: the model's, at most 8,192, fewer where memory is short
	Chunk  int // prompt tokens a run
	Queue  int // requests that may wait

	QueueTokens   int      // prompt tokens that may wait; 0: any number
	Speculate     bool     // sequences that run alone verify drafts
	Deterministic bool     // the same bits whatever runs beside a request
	SharedPrefix  []string // files of texts whose KV rows all requests may use
	ScopeHeader   string   // header with the user's id, which bounds prefix reuse; empty: none

	RequestTimeout time.Duration // 0: none
	StallTimeout   time.Duration
	DrainDelay     time.Duration
	Drain          time.Duration

	MetricsAddr string // where the metrics are served without a key; empty: nowhere
	OTLP        string // the collector that gets traces; empty: none
	LogLevel    slog.Level
	LogFormat   string // "text" or "json"
}

// ModelSource is one model to serve.
type ModelSource struct {
	Name   string // under which it is served; empty: its own
	Source string // a name in the store or a directory
}

// Bounds of the flags.
const (
	maxSlots = 1024
	maxMax   = 1 << 24
	maxChunk = 1 << 16
	maxQueue = 1 << 20
	maxDays  = 30 * 24 * time.Hour
)

// ParseServe reads the flags of `ortserve serve` and the environment. Where help is asked for it is written to out and
// the error is flag.ErrHelp. Every other error is one line for the operator.
func ParseServe(args []string, env func(string) string, out io.Writer) (*Serve, error) {
	c := &Serve{
		Addr: "127.0.0.1:9112", Provider: "auto", Kernels: "auto", KV: "auto", Chunk: 256, Queue: 128,
		RequestTimeout: 10 * time.Minute, StallTimeout: 30 * time.Second, DrainDelay: 5 * time.Second, Drain: 20 * time.Second,
		LogFormat: "text", QueueTokens: 1 << 17, Speculate: true,
	}
	f := c.flags()
	if err := f.parse(args, env); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			if err := c.help(f, out); err != nil {
				return nil, err
			}
		}
		return nil, err
	}
	c.Access.APIKey, c.Access.AdminKey = env("ORTSERVE_API_KEY"), env("ORTSERVE_ADMIN_KEY")
	if err := c.checkProvider(); err != nil {
		return nil, err
	}
	if err := c.checkExposure(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Serve) flags() *flagSet {
	f := newFlagSet("serve")

	f.group = "Address"
	f.add(&option{
		name: "addr", arg: "HOST:PORT", set: func(v string) error { return setAddr(&c.Addr, v) },
		help: `where to listen (127.0.0.1:9112). An address that other machines can
reach needs keys, or --insecure-no-auth.`,
	})
	c.accessFlags(f)

	f.group = "Models"
	f.add(&option{
		name: "model", arg: "[NAME=]MODEL", list: true, set: c.addModel,
		help: `a model of the store or a model directory, served as NAME and loaded at
the start. May be repeated; the first answers requests that name no
model. Without it all models of the store are served, each loaded when
a request asks for it.`,
	})
	f.add(&option{
		name: "keep-alive", arg: "TIME", set: c.setKeepAlive,
		help: `how long a model stays loaded after its last request, like 30m; 0 is not
at all, -1 for ever (5m; models named with --model: for ever). A model
is unloaded sooner when another needs its memory.`,
	})
	f.add(&option{
		name: "alias", arg: "NAME=MODEL", list: true, set: c.addAlias,
		help: `a further name for a served model, for clients that ask for one of their
own. May be repeated.`,
	})
	f.toggle(&c.AnyModel, "any-model", `answer requests for models that are not served with the first one,
instead of 404. For clients whose model cannot be chosen.`)
	f.toggle(&c.Offline, "offline", `ask no hub: POST /api/pull takes what a cache of huggingface_hub holds
(HF_HUB_CACHE, HF_HOME) and names what it lacks.`)

	c.machineFlags(f)

	f.group = "Batching"
	c.sizeFlags(f)
	f.whole(&c.Queue, "queue", 0, maxQueue, `requests that may wait for a slot (128). Above it a request is answered
503 with Retry-After at once.`)

	f.whole(&c.QueueTokens, "queue-tokens", 0, maxMax, `prompt tokens that may wait for a slot, of all requests together
(131072); 0 is any number. Above it a request is answered 503.`)
	f.add(&option{
		name: "speculate", arg: "WHEN", help: `auto or off (auto): whether a sequence that runs alone verifies drafts
of its next tokens, looked up in its own text. Faster where a text
repeats itself; never with --deterministic.`,
		set: func(v string) error {
			if v != "auto" && v != "off" {
				return errors.New("must be one of auto, off")
			}
			c.Speculate = v == "auto"
			return nil
		},
	})
	c.deterministicFlag(f)
	f.add(&option{
		name: "shared-prefix", arg: "FILE", list: true,
		help: `a text that many prompts begin with, such as a system prompt as the
model's template renders it. It is computed at the start, and requests
of all users may take it from the cache. May be repeated.`,
		set: func(v string) error { c.SharedPrefix = append(c.SharedPrefix, v); return nil },
	})
	f.text(&c.ScopeHeader, "cache-scope-header", "NAME", `a request header that holds the user's id. Requests of unlike ids do not
take each other's prompts from the cache.`)

	f.group = "Time"
	f.duration(&c.RequestTimeout, "request-timeout", 0, maxDays, `the longest that a request may take, waiting included (10m); 0 is no
limit. One that takes longer ends with an error.`)
	f.duration(&c.StallTimeout, "stall-timeout", time.Second, maxDays, `how long a client may leave its stream unread (30s) before it is cut
off and its slot freed.`)
	f.duration(&c.DrainDelay, "drain-delay", 0, maxDays, `on SIGTERM, how long to go on accepting requests while /readyz already
says no (5s): the time a load balancer takes to notice. SIGINT skips it.`)
	f.duration(&c.Drain, "drain", 0, maxDays, `how long running requests may then take to end (20s). What still runs
after it is cut off.`)

	f.group = "Observation"
	f.add(&option{
		name: "metrics-addr", arg: "HOST:PORT", set: func(v string) error { return setAddr(&c.MetricsAddr, v) },
		help: `where to serve /metrics to everybody who can reach it, without a key.
The main address has it too, for whoever has a key.`,
	})
	f.add(&option{
		name: "otlp", arg: "URL", set: c.setOTLP,
		help: `an OpenTelemetry collector that gets traces of requests over HTTP, like
http://127.0.0.1:4318: how long each waited, read its prompt and wrote,
with numbers of tokens, never texts. Without it nothing is sent. One
that is away delays no answer; its traces are lost.`,
	})
	f.add(&option{
		name: "log-level", arg: "LEVEL", help: `debug, info, warn or error (info). Prompts and answers are in none.`,
		set: func(v string) error {
			if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil || strings.ContainsAny(v, "+-") {
				return errors.New("must be one of debug, info, warn, error")
			}
			return nil
		},
	})
	f.oneOf(&c.LogFormat, "log-format", `text or json: one line an event on standard error (text).`, "text", "json")
	return f
}

// machineFlags are those of what computes.
func (c *Serve) machineFlags(f *flagSet) {
	f.group = "Machine"
	f.text(&c.Runtime, "onnxruntime", "PATH", `the ONNX Runtime library. Without it the one that make run brought is
taken, then the system's.`)
	f.add(&option{
		name: "provider", arg: "NAME", set: c.setProvider,
		help: `what computes: auto, cpu, cuda, or another that the ONNX Runtime library
was built with, such as openvino, coreml or dml (auto). cuda is an
NVIDIA device, which wants a graph of float16 (import --dtype fp16);
auto takes it where it can be had. Others get the nodes that they can
compute, and the KV cache is copied to and from them in each step.`,
	})
	f.add(&option{
		name: "provider-option", arg: "KEY=VALUE", list: true, set: c.addProviderOption,
		help: `an option of the provider, by ONNX Runtime's name, such as
device_type=GPU for openvino. May be repeated.`,
	})
	f.whole(&c.Device, "device", 0, maxSlots, `which NVIDIA device computes (0, the first).`)
	f.oneOf(&c.Kernels, "kernels", `auto, onnxruntime, avx512vnni or avx2 (auto): what computes the largest
nodes on the processor. auto takes this program's own kernels for the
best instructions that there are; onnxruntime takes none of them, which
is slower. Answers may differ where two tokens are about as likely.`, "auto", "onnxruntime", "avx512vnni", "avx2")
	f.oneOf(&c.KV, "kv", `auto, f32 or f16 (auto): what a KV cache of float32 is kept as. auto
takes float16 where weights are quantized and this program's own kernels
compute attention: half the memory, faster at long contexts, and logits
that differ by less than a hundredth of their spread. f32 takes the
model's own type.`, "auto", "f32", "f16")
	f.whole(&c.Threads, "threads", 0, maxSlots, `threads of a run; 0 chooses: physical cores, never above the container's
quota. More than that is slower, not faster.`)
	f.bytes(&c.MemoryLimit, "memory-limit", 0, `what weights, KV cache and buffers may take together, like 6GiB; 0 takes
85 % of what the machine or container has, or of the free memory of
the device that computes. A model that does not fit
is refused at the start, not killed later.`)
}

// sizeFlags are those of how much runs at once.
func (c *Serve) sizeFlags(f *flagSet) {
	f.whole(&c.Slots, "slots", 0, maxSlots, `sequences decoded at once; 0 takes 8, fewer where memory is short. More
serve more users together and make each answer slower. Memory for
slots x max-len tokens is set aside.`)
	f.whole(&c.MaxLen, "max-len", 0, maxMax, `tokens that a sequence may hold, prompt and answer together; 0 takes the
model's own window, at most 8192, less where memory is short. A longer
prompt is refused; an answer that reaches it ends there.`)
	f.whole(&c.Chunk, "chunk", 2, maxChunk, `prompt tokens a run (256). Larger reads long prompts faster; running
answers pause longer meanwhile.`)
}

func (c *Serve) deterministicFlag(f *flagSet) {
	f.toggle(&c.Deterministic, "deterministic", `give a request the same ids and log-probabilities to the last bit,
alone or in a crowd, whatever was cached before. Without it answers may
differ where two tokens are about as likely.`)
}

func (c *Serve) help(f *flagSet, out io.Writer) error {
	if _, err := io.WriteString(out, `Usage: ortserve serve [flags]

Serves ONNX language models behind the OpenAI and Ollama APIs.

Each flag is also an environment variable: --max-len is ORTSERVE_MAX_LEN. The flag wins. What may be
repeated is separated by commas there. Defaults are in parentheses.
`); err != nil {
		return err
	}
	return f.usage(out)
}

// addModel reads one --model. A path may hold '='; it begins with '.', '/' or '~', which no name does.
func (c *Serve) addModel(v string) error {
	m := ModelSource{Source: v}
	if name, source, ok := strings.Cut(v, "="); ok && !strings.ContainsAny(v[:1], "./~") { // not empty: it has a '='
		if name == "" {
			return errors.New("has no name before =")
		}
		m = ModelSource{Name: name, Source: source}
	}
	if m.Source == "" {
		return errors.New("names no model and no directory")
	}
	c.Models = append(c.Models, m)
	return nil
}

// addAlias reads one --alias.
func (c *Serve) addAlias(v string) error {
	name, model, ok := strings.Cut(v, "=")
	if !ok || name == "" || model == "" {
		return errors.New("must be NAME=MODEL")
	}
	if c.Aliases == nil {
		c.Aliases = map[string]string{}
	}
	c.Aliases[name] = model
	return nil
}

// setKeepAlive reads --keep-alive: a time, or a number of seconds as Ollama's clients send it.
func (c *Serve) setKeepAlive(v string) error {
	d, err := time.ParseDuration(v)
	if n, nerr := strconv.ParseInt(v, 10, 32); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d > maxDays {
		return errors.New("must be a time up to 720h, like 5m or 1h, 0, or -1 for ever")
	}
	c.KeepAlive = &d
	return nil
}

// setOTLP reads --otlp.
func (c *Serve) setOTLP(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("must be the address of a collector, like http://127.0.0.1:4318")
	}
	c.OTLP = v
	return nil
}

func setAddr(addr *string, v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("must be HOST:PORT, like 127.0.0.1:9112")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must end with a port between 0 (any free one) and 65535")
	}
	*addr = v
	return nil
}
