package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ortserve/internal/chart"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestBench measures tiny models: the table, the JSON and the drawing hold what was asked for, and figures agree with each other.
func TestBench(t *testing.T) {
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	t.Setenv("ORTSERVE_PROVIDER", "cpu")
	t.Setenv("ORTSERVE_BATCH", "7") // no flag of the environment
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := errors.Join(os.Mkdir(dir, 0o700), testmodel.Write(dir, testmodel.Config{Bits: 4})); err != nil {
		t.Fatal(err)
	}
	figures, drawing := filepath.Join(t.TempDir(), "b.json"), filepath.Join(t.TempDir(), "b.svg")
	code, out, failure := at("bench", dir, "--context", "600,30", "--batch", "3,1", "--rounds", "2", "--steps", "4", "--threads", "2", "--kv", "f32", "--json", figures, "--svg", drawing)
	if code != 0 || !strings.Contains(failure, "measuring tiny:latest: 100 %") {
		t.Fatalf("%d %s", code, failure)
	}
	b, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var r speed
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Model != "tiny:latest" || r.Threads != 2 || r.Rounds != 2 || r.Steps != 4 || r.MemoryRead < 1e6 || !strings.HasPrefix(r.Device, "cpu") || r.Kernels == "" {
		t.Errorf("%s", b)
	}
	// 2 layers: QKV 64x(64+2*32), o 64x64, gate, up and down 64x128 each unless the model says otherwise; a head of 64x512.
	if want := weightsOf(t, dir); r.Parameters != want || r.WeightBits < 4 || r.WeightBits > 8 {
		t.Errorf("%d parameters of %.2f bits, want %d", r.Parameters, r.WeightBits, want)
	}
	if r.KVToken != 2*2*2*16*4 { // layers, sides, heads, size, float32
		t.Errorf("%d bytes of KV a token", r.KVToken)
	}
	var points []string
	for _, p := range r.Prefill {
		points = append(points, fmt.Sprint("p", p.Context))
		if p.Seconds <= 0 || different(p.Rate, float64(p.Context)/p.Seconds) {
			t.Errorf("%+v", p)
		}
	}
	for _, d := range r.Decode {
		points = append(points, fmt.Sprint(d.Context, "x", d.Batch))
		if d.Seconds <= 0 || different(d.Rate, float64(d.Batch)/d.Seconds) || d.Read != r.WeightBytes+int64(d.Batch*(d.Context+2))*r.KVToken ||
			different(d.Share, float64(d.Read)/d.Seconds/r.MemoryRead) {
			t.Errorf("%+v", d)
		}
	}
	if want := []string{"p30", "p600", "30x1", "30x3", "600x1", "600x3"}; !slices.Equal(points, want) {
		t.Errorf("measured %v, want %v", points, want)
	}
	var table string
	for _, line := range strings.Split(out, "\n") {
		table += strings.Join(strings.Fields(line), " ") + "\n"
	}
	for _, w := range []string{
		"2 threads read", "tiny:latest: 0 M parameters", "context prefill tok/s batch decode tok/s each ms a step of memory read",
		"\n30 " + rate(r.Prefill[0].Rate) + " 1 " + rate(r.Decode[0].Rate), "\n3 " + rate(r.Decode[1].Rate), "\n600 " + rate(r.Prefill[1].Rate),
	} {
		if !strings.Contains(table, w) {
			t.Errorf("no %q in\n%s", w, table)
		}
	}
	svg, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	checkDrawing(t, svg, 6)

	g := func(want string, args ...string) {
		t.Helper()
		if code, _, failure := at(append([]string{"bench", dir}, args...)...); code != 1 || !strings.Contains(failure, want) || strings.Count(failure, "\n") != 1 {
			t.Errorf("%q: %d %q, want a line with %q", args, code, failure, want)
		}
	}
	g("--context 2048 and --steps 32 need 2080 tokens, the model's window has 2048", "--context", "16,2048")
	g(`--context: "0" must be whole numbers between 1 and`, "--context", "0")
	g(`--batch: "1,x" must be whole numbers`, "--batch", "1,x")
	g("more than 32 numbers", "--batch", strings.TrimRight(sequence(40), ","))
	g("--memory-limit", "--memory-limit", "1MiB", "--context", "16")
	g("one argument too many", "second")
}

func sequence(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()
}

// weightsOf counts the parameters of a model's matrices by its description, where the head is one of them.
func weightsOf(t *testing.T, dir string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Layers       int64 `json:"num_hidden_layers"`
		Hidden       int64 `json:"hidden_size"`
		Heads        int64 `json:"num_attention_heads"`
		KVHeads      int64 `json:"num_key_value_heads"`
		HeadSize     int64 `json:"head_dim"`
		Intermediate int64 `json:"intermediate_size"`
		Vocab        int64 `json:"vocab_size"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.Layers*(c.Hidden*(c.Heads+2*c.KVHeads)*c.HeadSize+c.Heads*c.HeadSize*c.Hidden+3*c.Hidden*c.Intermediate) + c.Hidden*c.Vocab
}

func different(a, b float64) bool { return a/b < 0.999 || a/b > 1.001 }

// checkDrawing reads an SVG: well-formed, with so many points, all of it inside, no script and nothing from elsewhere.
func checkDrawing(t *testing.T, svg []byte, points int) {
	t.Helper()
	text := string(svg)
	for _, w := range []string{"prefers-color-scheme: dark", `role="img"`, "<title", "<desc"} {
		if !strings.Contains(text, w) {
			t.Errorf("no %s in\n%s", w, text)
		}
	}
	circles := 0
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "circle" {
			circles++
		}
		for _, a := range e.Attr {
			if e.Name.Local == "script" || strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
				t.Errorf("<%s %s>", e.Name.Local, a.Name.Local)
			}
			var v, limit float64
			switch a.Name.Local {
			case "x", "x1", "x2", "cx":
				limit = chart.Width
			case "y", "y1", "y2", "cy":
				limit = chart.Height
			default:
				continue
			}
			if _, err := fmt.Sscan(a.Value, &v); err != nil || v < 0 || v > limit {
				t.Errorf("<%s %s=%q> is outside, %v", e.Name.Local, a.Name.Local, a.Value, err)
			}
		}
	}
	if circles != points {
		t.Errorf("%d points are drawn, want %d", circles, points)
	}
}

// Lines of close figures have labels that can be told apart; names cannot break out; one length alone can be drawn.
func TestDrawSpeed(t *testing.T) {
	r := &speed{Model: `<a "b">&`, Processor: "p", When: time.Unix(0, 0)}
	for _, n := range []int{128, 130, 4096} {
		r.Prefill = append(r.Prefill, prefillSpeed{Context: n, Seconds: 1, Rate: float64(n)})
		for batch := 1; batch <= 8; batch++ {
			r.Decode = append(r.Decode, decodeSpeed{Context: n, Batch: batch, Seconds: 1, Rate: 100 + float64(batch)/10})
		}
	}
	draw := func(points int) string {
		t.Helper()
		var b bytes.Buffer
		if err := drawSpeed(&b, r); err != nil {
			t.Fatal(err)
		}
		checkDrawing(t, b.Bytes(), points)
		return b.String()
	}
	if text := draw(27); !strings.Contains(text, "&lt;a &#34;b&#34;&gt;&amp;") || strings.Contains(text, ">128<") == strings.Contains(text, ">130<") {
		t.Errorf("%s", text)
	}
	r.Prefill, r.Decode = r.Prefill[:1], r.Decode[:1]
	draw(2)
	r.Decode = nil
	draw(1)
}

// Memory is read, all of it: the sum is right.
func TestMemoryReader(t *testing.T) {
	r := newMemoryReader(3, 3*8*1003)
	before := r.sink
	r.pass()
	if want := uint64(3 * 1003 * 1002 / 2); r.sink-before != want || r.best <= 0 {
		t.Errorf("sum %d, want %d; %g bytes a second", r.sink-before, want, r.best)
	}
}

func TestFitContexts(t *testing.T) {
	f := func(wanted []int, steps, window int, want []int) {
		t.Helper()
		got, err := fitContexts(wanted, steps, window)
		if !slices.Equal(got, want) || (err != nil) != (want == nil) {
			t.Errorf("%v and %d steps in %d: %v, %v, want %v", wanted, steps, window, got, err, want)
		}
	}
	f(nil, 32, 0, []int{128, 512, 2048})
	f(nil, 32, 2048, []int{128, 512})
	f(nil, 32, 100, []int{68})
	f(nil, 100, 100, nil)
	f([]int{5, 68}, 32, 100, []int{5, 68})
	f([]int{5, 69}, 32, 100, nil)
}
