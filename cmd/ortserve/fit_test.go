package main

import (
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	const mib = 1 << 20
	// A model of 100 MiB whose tokens take 1 KiB: 8 slots of 8192 tokens need (8+1)*(8192+1) KiB more, about 72 MiB.
	small := need{fixed: 100 * mib, slot: slotOf(1 << 10), row: 4 << 10}
	f := func(limit int64, slots, maxLen, longest, wantSlots, wantLen int, why string) {
		t.Helper()
		s, l, got, err := fit(small, limit, slots, maxLen, longest)
		if err != nil {
			t.Errorf("limit %d, slots %d, max-len %d, window %d: %v", limit, slots, maxLen, longest, err)
			return
		}
		if s != wantSlots || l != wantLen {
			t.Errorf("limit %d, slots %d, max-len %d, window %d: %d slots of %d, want %d of %d", limit, slots, maxLen, longest, s, l, wantSlots, wantLen)
		}
		if (got == "") != (why == "") || !strings.Contains(got, why) {
			t.Errorf("limit %d, slots %d, max-len %d, window %d: reason %q, want %q", limit, slots, maxLen, longest, got, why)
		}
		if limit > 0 && small.total(s, l) > limit {
			t.Errorf("%d slots of %d need %d, the limit is %d", s, l, small.total(s, l), limit)
		}
	}
	// Enough, or no limit.
	f(0, 0, 0, 0, 8, 8192, "")
	f(0, 0, 0, 2048, 8, 2048, "")
	f(0, 64, 100_000, 0, 64, 100_000, "")
	f(0, 64, 100_000, 100_000, 64, 100_000, "")
	f(200*mib, 0, 0, 131072, 8, 8192, "")
	f(small.total(8, 8192), 0, 0, 0, 8, 8192, "")
	// First fewer slots, then a shorter window.
	f(small.total(8, 8192)-1, 0, 0, 0, 7, 8192, "172 MiB were needed for the usual ones, the limit is 172 MiB (--memory-limit)")
	f(150*mib, 0, 0, 0, 5, 8192, "172 MiB")
	f(small.total(1, 8192), 0, 0, 0, 1, 8192, "172 MiB")
	f(small.total(1, 8192)-1, 0, 0, 0, 1, 4096, "172 MiB")
	f(101*mib, 0, 0, 0, 1, 256, "the limit is 101 MiB")
	f(small.total(1, 256), 0, 0, 0, 1, 256, "(--memory-limit)")
	// The operator's choices stay.
	f(150*mib, 8, 0, 0, 8, 4096, "172 MiB")
	f(150*mib, 0, 4096, 0, 8, 4096, "")
	f(120*mib, 0, 8192, 0, 1, 8192, "172 MiB")
	f(150*mib, 0, 0, 300, 8, 300, "")
}

func TestFitRefuses(t *testing.T) {
	const mib = 1 << 20
	f := func(n need, limit int64, slots, maxLen, longest int, want ...string) {
		t.Helper()
		s, l, _, err := fit(n, limit, slots, maxLen, longest)
		if err == nil {
			t.Errorf("limit %d, slots %d, max-len %d, window %d: %d slots of %d, want an error", limit, slots, maxLen, longest, s, l)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("limit %d, slots %d, max-len %d, window %d: error %q does not say %q", limit, slots, maxLen, longest, err, w)
			}
		}
	}
	n := need{fixed: 100 * mib, slot: slotOf(1 << 10), row: 4 << 10}
	f(n, 0, 0, 4096, 2048, "--max-len is 4096", "window has 2048 tokens")
	f(n, 90*mib, 0, 0, 0, "1 slots of 256 tokens", "100 MiB without the KV cache", "the limit is 90 MiB", "--slots", "--max-len", "--memory-limit")
	f(n, 150*mib, 8, 8192, 0, "8 slots of 8192 tokens need 172 MiB", "the limit is 150 MiB")
	f(n, 110*mib, 64, 0, 0, "64 slots of 256 tokens")
	f(n, 110*mib, 0, 8192, 0, "1 slots of 8192 tokens")
	f(n, 1, 0, 0, 0, "the limit is 1 bytes")
	// Logits of all positions of a chunk count too: 512 rows of 128,256 float32.
	rows := need{fixed: 100 * mib, slot: slotOf(1 << 10), row: 4 * 128256, rows: 512}
	f(rows, 300*mib, 1, 256, 0, "351 MiB", "100 MiB without")
}

// total against numbers worked out by hand: 3 slots and the scratch one, 10 tokens and the one for padding.
func TestNeed(t *testing.T) {
	f := func(n need, slots, maxLen int, want int64) {
		t.Helper()
		if got := n.total(slots, maxLen); got != want {
			t.Errorf("%+v with %d slots of %d: %d, want %d", n, slots, maxLen, got, want)
		}
	}
	f(need{fixed: 7, slot: slotOf(100), row: 5}, 3, 10, 7+4*11*100+3*5)
	f(need{fixed: 7, slot: slotOf(100), row: 5, rows: 64}, 3, 10, 7+4*11*100+64*5)
	f(need{fixed: 7, slot: slotOf(100), row: 5, rows: 2}, 3, 10, 7+4*11*100+3*5)
	// Llama-3.2-1B in float32: 16 layers, 8 heads of 64, keys and values: 64 KiB a token.
	f(need{slot: slotOf(16 * 8 * 64 * 2 * 4)}, 7, 8191, 8*8192*64<<10)
}

func TestLongest(t *testing.T) {
	f := func(a, b, want int) {
		t.Helper()
		if got := longest(a, b); got != want {
			t.Errorf("%d and %d: %d, want %d", a, b, got, want)
		}
	}
	f(0, 0, 0)
	f(5, 0, 5)
	f(0, 5, 5)
	f(5, 7, 5)
	f(7, 5, 5)
}

// slotOf returns the KV memory of slots whose tokens take that many bytes. One token more is padding.
func slotOf(token int64) func(int) int64 {
	return func(maxLen int) int64 { return int64(maxLen+1) * token }
}
