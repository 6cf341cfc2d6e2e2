package kernel

/*
#cgo LDFLAGS: -lm
#include <stdlib.h>
#include <time.h>
#include "attention.h"

static void in_order(void *pool, void (*task)(void *, size_t), size_t n, void *data) {
	(void)pool;
	for (size_t i = 0; i < n; i++) task(data, i);
}

// attention_here computes a call on this thread. It returns the thread's time in nanoseconds, or -1 where there is no memory.
static int64_t attention_here(const attention *a, int isa) {
	size_t n = (attention_scratch(a) + 63) / 64 * 64;
	void *scratch = aligned_alloc(64, n);
	if (!scratch) return -1;
	struct timespec from, to;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	attention_run(a, scratch, (parallel){in_order, NULL}, isa);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	free(scratch);
	return (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
}
*/
import "C"

import (
	"errors"
	"runtime"
	"time"
	"unsafe"
)

// cacheType is the type of numbers in the KV cache.
type cacheType int

const (
	cacheFloat32 cacheType = C.KV_FLOAT32
	cacheFloat16 cacheType = C.KV_FLOAT16
	cacheInt8    cacheType = C.KV_INT8
)

// attention is a call of GroupQueryAttention outside of ONNX Runtime. Caches are [batch, kvHeads, rows, size] of the type cache.
type attention struct {
	batch, tokens, heads, kvHeads, size int
	pastRows, rows, total               int
	window                              int // 0: none
	scale                               float32
	cache                               cacheType
	query, key, value                   []float32 // [batch, tokens, heads*size]
	lengths                             []int32   // seqlens_k
	cos, sin                            []float32 // [positions, turned/2]; nil: no rotary embedding
	turned                              int
	interleaved                         bool
	positions                           []int64   // of the tokens; nil: where they are stored
	keyScale, valueScale                []float32 // [kvHeads, size]
	pastKey, pastValue                  []byte
	presentKey, presentValue            []byte
	output                              []float32 // [batch, tokens, heads*size]
}

// run computes the call on this thread with an instruction set. It returns the time that the processor took.
func (a *attention) run(isa ISA) (time.Duration, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	c := C.attention{
		batch: C.int64_t(a.batch), tokens: C.int64_t(a.tokens), heads: C.int64_t(a.heads), kv_heads: C.int64_t(a.kvHeads), size: C.int64_t(a.size),
		past_rows: C.int64_t(a.pastRows), rows: C.int64_t(a.rows), total: C.int64_t(a.total), turned: C.int64_t(a.turned),
		query_stride: C.int64_t(a.heads * a.size), key_stride: C.int64_t(a.kvHeads * a.size), value_stride: C.int64_t(a.kvHeads * a.size),
		window: C.int64_t(a.window), scale: C.float(a.scale), kv: C.int32_t(a.cache),
		query: floats(&pins, a.query), key: floats(&pins, a.key), value: floats(&pins, a.value),
		cos: floats(&pins, a.cos), sin: floats(&pins, a.sin), key_scale: floats(&pins, a.keyScale), value_scale: floats(&pins, a.valueScale),
		past_key: pinned(&pins, a.pastKey), past_value: pinned(&pins, a.pastValue), present_key: pinned(&pins, a.presentKey), present_value: pinned(&pins, a.presentValue),
		lengths: (*C.int32_t)(pinned(&pins, a.lengths)), position_ids: (*C.int64_t)(pinned(&pins, a.positions)), output: floats(&pins, a.output),
	}
	if a.turned > 0 {
		c.positions = C.int64_t(len(a.cos) / (a.turned / 2))
	}
	if a.interleaved {
		c.interleaved = 1
	}
	if wrong := C.attention_check(&c); wrong != nil {
		return 0, errors.New(C.GoString(wrong))
	}
	took := C.attention_here(&c, C.int(isa))
	if took < 0 {
		return 0, errors.New("no memory")
	}
	return time.Duration(took), nil
}

// pinned returns the address of a slice's numbers, which stay where they are until the pins are drawn.
func pinned[T any](p *runtime.Pinner, s []T) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	p.Pin(&s[0])
	return unsafe.Pointer(&s[0])
}

func floats(p *runtime.Pinner, s []float32) *C.float { return (*C.float)(pinned(p, s)) }
