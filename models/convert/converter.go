package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/nbits"
)

// fence makes a panic of a worker the error of the import.
func fence(cancel context.CancelCauseFunc) {
	if r := recover(); r != nil {
		cancel(fmt.Errorf("internal error: %v\n%s", r, debug.Stack()))
	}
}

// spread calls do for 0 to n-1 on all processors, until one fails or ctx ends. Each worker has a converter of its own, which begins as c.
func spread(ctx context.Context, c converter, n int, do func(c *converter, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), max(1, n)) {
		workers.Go(func() {
			defer fence(cancel)
			c := c
			for i := range next {
				if err := do(&c, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// converter holds one worker's memory.
type converter struct {
	raw, turned []byte
	values      []float32
	nearest     bool // round to nearest, search no scales
	rows        nbits.Rows
}

func (c *converter) convert(p piece) error {
	size, length := p.from.rowBytes(), p.from.length
	c.raw = sized(c.raw, p.rows*size)
	if err := p.from.read(c.raw, p.row); err != nil {
		return err
	}
	raw := c.raw
	if p.headSize > 0 {
		c.turned = sized(c.turned, len(raw))
		splitPairs(c.turned, raw, p.headSize, size)
		raw = c.turned
	}
	if holds(p.to.Format, p.from.kind) && p.to.Quantized() {
		repack(&c.rows, p.to.Format, p.from.kind, raw, p.rows, length)
		return p.to.Write(p.at, &c.rows)
	}
	c.values = sized(c.values, p.rows*length)
	p.from.kind.Dequantize(c.values, raw)
	if p.divisors != nil {
		multiply(c.values, length, p.columns.scales, p.divisors[p.row:])
	} else {
		multiply(c.values, length, p.columns.scales, nil)
	}
	var err error
	if c.nearest {
		err = p.to.Quantize(&c.rows, c.values, length)
	} else {
		err = p.to.Fit(&c.rows, c.values, length, p.columns.importance)
	}
	if err != nil {
		return fmt.Errorf("tensor %q: %w", p.from.name, err)
	}
	return p.to.Write(p.at, &c.rows)
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// splitPairs undoes the order of rows that GGUF has in the query and key matrices of Llama models. There the two rows of
// a rotary pair are neighbours; here all first rows of a head's pairs come before all second ones.
func splitPairs(dst, src []byte, headSize, rowBytes int) {
	half := headSize / 2
	for head := 0; head < len(src); head += headSize * rowBytes {
		for i := range headSize {
			from := 2*(i%half) + i/half
			copy(dst[head+i*rowBytes:head+(i+1)*rowBytes], src[head+from*rowBytes:])
		}
	}
}

// repack brings n rows of Q8_0 or Q4_0 to blocks of 32 with the same scales: the integers only move, and from the signed
// range to one with the zero point in its middle.
func repack(dst *nbits.Rows, f nbits.Format, t gguf.Type, raw []byte, n, length int) {
	dst.Resize(f, n, length)
	_, size := t.Block()
	blocks, half := f.Blocks(length), 1<<(f.Bits-1)
	rowBytes, zeroBytes := f.RowBytes(length), f.ZeroBytes(length)
	for row := range n {
		weight := dst.Weight[row*rowBytes : (row+1)*rowBytes]
		for b := range blocks {
			block := raw[(row*blocks+b)*size:][:size]
			dst.Scales[row*blocks+b] = nbits.FromFloat16(binary.LittleEndian.Uint16(block))
			if !f.Symmetric {
				nbits.Set(dst.Zeros[row*zeroBytes:(row+1)*zeroBytes], b, f.Bits, half)
			}
			q := block[2:]
			for i := range 32 {
				v := 0
				switch {
				case t == gguf.Q8_0:
					v = int(int8(q[i]))
				case i < 16:
					v = int(q[i]&15) - 8
				default:
					v = int(q[i-16]>>4) - 8
				}
				nbits.Set(weight, b*32+i, f.Bits, v+half)
			}
		}
	}
}
