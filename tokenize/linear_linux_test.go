package tokenize

import (
	"math"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLinear: a text takes about as long as its sixteen parts one by one, in the processor's time of one thread. What is quadratic takes
// sixteen times as long; what does not fit the processor's caches any more takes up to three times. The long form has 4 MiB. BenchmarkLinear of test/tokenizer has the
// figure for twice the text.
func TestLinear(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const parts, most = 16, 8
	small, texts := 1<<18, map[string]string{"one letter": "a", "one word": "hellothe", "spaces": " ", "emoji": "\U0001F600", "marks": "\u0301"}
	if testing.Short() {
		small, texts = 1<<15, map[string]string{"one letter": "a", "one word": "hellothe"}
	}
	for name, unit := range texts {
		for family, file := range map[string]fields{"byte level": llamaFile(), "metaspace": mistralFile()} {
			tok := parsed(t, file)
			fastest := func(text string, times int) time.Duration {
				best := time.Duration(math.MaxInt64)
				for range 3 {
					begin := processorTime(t)
					for range times {
						tok.Encode(text, Options{})
					}
					best = min(best, processorTime(t)-begin)
				}
				return best
			}
			one := fastest(strings.Repeat(unit, small/len(unit)), parts)
			whole := fastest(strings.Repeat(unit, parts*small/len(unit)), 1)
			t.Logf("%s, %s: %d KiB take %s, their parts %s; %.1f MiB/s", family, name, parts*small>>10, whole, one, float64(parts*small)/(1<<20)/whole.Seconds())
			if ratio := float64(whole) / float64(one); ratio > most {
				t.Errorf("%s, %s: %d bytes take %s, %.1f times as long as their parts", family, name, parts*small, whole, ratio)
			}
		}
	}
}

// processorTime is what this process has had of the processor, which others on a busy machine do not add to.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
