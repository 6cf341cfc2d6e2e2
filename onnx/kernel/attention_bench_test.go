package kernel

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// shapes are those of models people run.
var shapes = []struct {
	name                 string
	heads, kvHeads, size int
}{
	{"llama-1b", 32, 8, 64}, {"smollm2-135m", 9, 3, 64}, {"llama-8b", 32, 8, 128},
}

var cacheNames = []string{"float32", "float16", "int8"}

// BenchmarkAttention gives the time that one thread's processor takes for one layer, the median of many calls, and what of the cache it
// reads a second. The cache is larger than the processor's own, as between two steps of a model.
func BenchmarkAttention(b *testing.B) {
	for _, shape := range shapes {
		for cache, name := range cacheNames {
			run := func(what string, batch, tokens, past int) {
				b.Run(fmt.Sprintf("%s/%s/%s/batch=%d/tokens=%d/past=%d", shape.name, name, what, batch, tokens, past), func(b *testing.B) {
					s := setup{heads: shape.heads, kvHeads: shape.kvHeads, size: shape.size, turned: shape.size, scale: 0.125, cache: cacheType(cache), length: past + tokens}
					bytes := 2 * batch * s.kvHeads * s.length * s.size * s.cache.bytes()
					var calls []*attention
					for range max(1, 64<<20/bytes) {
						calls = append(calls, s.zeros(batch, tokens, past))
					}
					for _, isa := range sets(b) {
						var times []time.Duration
						for i := 0; i < max(2*len(calls), 7) || i < b.N; i++ {
							took, err := calls[i%len(calls)].run(isa)
							if err != nil {
								b.Fatal(err)
							}
							times = append(times, took)
						}
						slices.Sort(times)
						median := times[len(times)/2]
						b.ReportMetric(float64(median.Nanoseconds())/1e3, fmt.Sprintf("us-%v", isa))
						b.ReportMetric(float64(bytes)/float64(median.Nanoseconds()), fmt.Sprintf("GB/s-%v", isa))
					}
				})
			}
			for _, batch := range []int{1, 8} {
				for _, context := range []int{128, 512, 2048, 4096} {
					run("decode", batch, 1, context-1)
				}
			}
			for _, tokens := range []int{128, 512} {
				for _, past := range []int{0, 2048} {
					run("prefill", 1, tokens, past)
				}
			}
		}
	}
}

// zeros returns a call of a batch whose rows have the same past. Its memory is written.
func (s setup) zeros(batch, tokens, past int) *attention {
	kv := s.slots(batch)
	clear(kv.key)
	clear(kv.value)
	a := &attention{
		batch: batch, tokens: tokens, heads: s.heads, kvHeads: s.kvHeads, size: s.size, pastRows: s.length, rows: s.length, total: s.length,
		scale: s.scale, cache: s.cache, turned: s.turned, keyScale: s.scales(), valueScale: s.scales(),
		pastKey: kv.key, pastValue: kv.value, presentKey: kv.key, presentValue: kv.value,
		query: make([]float32, batch*tokens*s.heads*s.size), key: make([]float32, batch*tokens*s.kvHeads*s.size),
		value: make([]float32, batch*tokens*s.kvHeads*s.size), output: make([]float32, batch*tokens*s.heads*s.size),
	}
	for range batch {
		a.lengths = append(a.lengths, int32(past+tokens-1))
	}
	a.cos, a.sin = s.tables()
	return a
}
