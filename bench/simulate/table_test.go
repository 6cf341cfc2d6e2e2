package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The shapes of the Llama family at 4.25 bits a weight (4 bits in blocks of 128) and a cache of float32.
var (
	llama1B  = shape("1B", 16, 2048, 32, 8, 64, 8192, 128256)
	llama8B  = shape("8B", 32, 4096, 32, 8, 128, 14336, 128256)
	llama70B = shape("70B", 80, 8192, 64, 8, 128, 28672, 128256)
)

func shape(name string, layers, hidden, heads, kvHeads, headSize, intermediate, vocab float64) Shape {
	parameters := layers*(hidden*headSize*(2*heads+2*kvHeads)+3*hidden*intermediate) + hidden*vocab
	return Shape{name, parameters, parameters * 4.25 / 8, layers * kvHeads * headSize * 2 * 4, layers * heads * headSize}
}

// measured returns the tokens a second that the server gave so many clients, by the file of all numbers of a run of `make bench-peers`.
func measured(t *testing.T, path string) map[int]float64 {
	t.Helper()
	var r struct {
		Models []struct {
			Title  string
			Stages []struct {
				Kind    string
				Clients int
				Series  []struct {
					Rounds []struct {
						Wall    float64 `json:"wall_s"`
						Answers []struct{ Tokens int }
					}
				}
			}
		}
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	rates := map[int]float64{}
	for _, m := range r.Models {
		for _, s := range m.Stages {
			if !strings.Contains(m.Title, "1B") || s.Kind != "clients" {
				continue
			}
			var all []float64
			for _, round := range s.Series[0].Rounds {
				n := 0
				for _, a := range round.Answers {
					n += a.Tokens
				}
				all = append(all, float64(n)/round.Wall)
			}
			slices.Sort(all)
			rates[s.Clients] = all[len(all)/2]
		}
	}
	return rates
}

// TestTable prints what a measured machine, and larger ones, would do: first the bursts that `make bench-peers` measures, which must be
// near what it saw, then conversations with models and machines that are not here.
func TestTable(t *testing.T) {
	path, peers := os.Getenv("ORTSERVE_SPEED"), os.Getenv("ORTSERVE_PEERS")
	if path == "" || peers == "" {
		t.Skip("ORTSERVE_SPEED names no file that `ortserve bench --json` wrote of a model in the shape of Llama-3.2-1B, or ORTSERVE_PEERS none of `make bench-peers`")
	}
	seen := measured(t, peers)
	if len(seen) == 0 {
		t.Fatalf("%s has no clients of the 1B shape", peers)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s Speed
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	c, err := Fit(&s)
	if err != nil {
		t.Fatal(err)
	}
	here := Machine{"here", float64(s.Threads), s.MemoryRead}
	var w strings.Builder
	fmt.Fprintf(&w, "%+v\n", c)
	fmt.Fprintf(&w, "| clients | tokens/s measured | simulated | first token, ms | between tokens, ms |\n|---|---|---|---|---|\n")
	for _, clients := range slices.Sorted(maps.Keys(seen)) {
		r := simulate(t, Setup{Cost: c, Slots: clients, MaxLen: 1024, Queue: 100, Replicas: 1}, Burst(1, clients, 1, 101, 64))
		if ratio := r.Rate() / seen[clients]; ratio < 2.0/3 || ratio > 1.5 {
			t.Errorf("%d clients: simulated %.1f tokens/s, measured %.1f", clients, r.Rate(), seen[clients])
		}
		fmt.Fprintf(&w, "| %d | %.1f | %.1f | %d | %.1f |\n", clients, seen[clients], r.Rate(), Percentile(r.First, 50).Milliseconds(), 1e3*Percentile(r.Between, 50).Seconds())
	}
	fmt.Fprintf(&w, "\n| model | machine | replicas | conversations/s | tokens/s | cached | first token, s: median, p95 | between tokens, ms: median, p95 |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		model    Shape
		machine  Machine
		replicas int
		sticky   bool
		perS     float64
	}{
		{llama1B, Machine{"16 cores, 150 GB/s", 16, 150e9}, 1, false, 0.5},
		{llama8B, Machine{"16 cores, 150 GB/s", 16, 150e9}, 1, false, 0.05},
		{llama8B, Machine{"64 cores, 400 GB/s", 64, 400e9}, 1, false, 0.2},
		{llama8B, Machine{"64 cores, 400 GB/s", 64, 400e9}, 4, false, 0.8},
		{llama8B, Machine{"64 cores, 400 GB/s", 64, 400e9}, 4, true, 0.8},
		{llama70B, Machine{"64 cores, 400 GB/s", 64, 400e9}, 1, false, 0.02},
		{llama70B, Machine{"192 cores, 1,000 GB/s", 192, 1000e9}, 1, false, 0.05},
	} {
		cost := c.Scale(llama1B, row.model, here, row.machine)
		r := simulate(t, Setup{Cost: cost, Slots: 16, MaxLen: 8192, Chunk: 128, Queue: 100, Replicas: row.replicas, Sticky: row.sticky}, Chats(1, row.perS, 30*time.Minute))
		replicas := fmt.Sprint(row.replicas)
		if row.sticky {
			replicas += ", by conversation"
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %g | %.0f | %.0f %% | %.1f, %.1f | %.0f, %.0f |\n", row.model.Name, row.machine.Name, replicas, row.perS,
			r.Rate(), 100*float64(r.Cached)/float64(r.Prompt), Percentile(r.First, 50).Seconds(), Percentile(r.First, 95).Seconds(),
			1e3*Percentile(r.Between, 50).Seconds(), 1e3*Percentile(r.Between, 95).Seconds())
		if r.Refused > 0 {
			fmt.Fprintf(&w, "(%d of %d refused)\n", r.Refused, r.Requests)
		}
	}
	t.Logf("\n%s", w.String())
}
