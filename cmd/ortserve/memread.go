package main

import (
	"math"
	"sync"
	"time"
)

// readBytes is how much memory a pass reads: far more than the caches hold.
const readBytes = 512 << 20

// memoryReader measures how fast threads together read memory.
type memoryReader struct {
	words [][]uint64 // of each thread
	sink  uint64     // keeps the compiler from leaving the loads out
	best  float64    // bytes a second
}

func newMemoryReader(threads, bytes int) *memoryReader {
	r := &memoryReader{words: make([][]uint64, threads)}
	r.each(func(i int) uint64 {
		r.words[i] = make([]uint64, bytes/8/threads)
		for j := range r.words[i] { // pages that were never written are all one page of zeros
			r.words[i][j] = uint64(j)
		}
		return 0
	})
	return r
}

// pass reads all of it once; the fastest pass counts.
func (r *memoryReader) pass() {
	begin := time.Now()
	r.each(func(i int) uint64 { return sum(r.words[i]) })
	seconds := math.Max(time.Since(begin).Seconds(), 1e-9)
	r.best = math.Max(r.best, float64(8*len(r.words)*len(r.words[0]))/seconds)
}

// each calls f for every thread at the same time.
func (r *memoryReader) each(f func(i int) uint64) {
	var wg sync.WaitGroup
	sums := make([]uint64, len(r.words))
	for i := range r.words {
		wg.Go(func() { sums[i] = f(i) })
	}
	wg.Wait()
	r.sink += sum(sums)
}

// sum adds words in eight chains, which do not wait for each other.
func sum(words []uint64) uint64 {
	var a, b, c, d, e, f, g, h uint64
	for len(words) >= 8 {
		w := words[:8:8]
		a, b, c, d = a+w[0], b+w[1], c+w[2], d+w[3]
		e, f, g, h = e+w[4], f+w[5], g+w[6], h+w[7]
		words = words[8:]
	}
	for _, w := range words {
		a += w
	}
	return a + b + c + d + e + f + g + h
}
