package nbits

import "math"

// Fit fills r with the rows that values holds, k elements each, as Quantize does, but chooses each block's scale and zero point
// so that the weighted squared error is least, as far as a search over them finds: for every candidate the elements are rounded,
// and the scale that fits these integers best follows from them (the normal equation). An element's weight is importance of its
// column, which may be nil, times its own magnitude and the block's: what is large moves an answer more.
func (f Format) Fit(r *Rows, values []float32, k int, importance []float32) error {
	if !f.Quantized() {
		return f.Quantize(r, values, k)
	}
	if k <= 0 || len(values)%k != 0 || importance != nil && len(importance) != k {
		return errRows
	}
	n := len(values) / k
	r.Resize(f, n, k)
	size, blocks, zeros := f.RowBytes(k), f.Blocks(k), f.ZeroBytes(k)
	s := searcher{format: f, levels: float32(int(1)<<f.Bits - 1), weight: make([]float32, f.Block)}
	for i := range n {
		row := values[i*k : (i+1)*k]
		for b := range blocks {
			from := b * f.Block
			x := row[from:min(from+f.Block, k)]
			if importance != nil {
				s.weigh(x, importance[from:])
			} else {
				s.weigh(x, nil)
			}
			scale, zero := s.block(x)
			r.Scales[i*blocks+b] = scale
			if !f.Symmetric {
				Set(r.Zeros[i*zeros:(i+1)*zeros], b, f.Bits, zero)
			}
			f.round(r.Weight[i*size:(i+1)*size], from, x, scale, zero)
		}
	}
	return nil
}

// searcher looks for a block's scale and zero point.
type searcher struct {
	format Format
	levels float32   // the largest integer
	x      []float32 // the block
	weight []float32 // of each element of the block
}

// weigh sets the weights of a block's elements.
func (s *searcher) weigh(x, importance []float32) {
	sum := float32(0)
	for _, v := range x {
		sum += v * v
	}
	mean := float32(math.Sqrt(float64(sum / float32(len(x)))))
	for i, v := range x {
		w := mean + magnitude(v)
		if importance != nil {
			w *= importance[i]
		}
		s.weight[i] = w
	}
}

func magnitude(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// shrink is by how much the candidates' ranges are smaller than the block's: the ends are cut, all else is finer.
var shrink = [...]float32{1.1, 1.05, 1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68}

// block returns the best scale and zero point of a block.
func (s *searcher) block(x []float32) (scale float32, zero int) {
	s.x = x
	scale, zero = s.format.fit(x)
	if scale == 0 || s.format.Bits == 8 { // what a search gains at 8 bits is too little to be seen
		return s.stored(scale), zero
	}
	best := candidate{scale: scale, zero: float32(zero), gain: -1}
	best = s.better(best, scale, float32(zero))
	for _, c := range shrink {
		if s.format.Symmetric {
			best = s.better(best, scale*c, float32(zero))
			best = s.better(best, -scale*c, float32(zero))
			continue
		}
		for d := float32(-1); d <= 1; d++ {
			if z := float32(zero) + d; z >= 0 && z <= s.levels {
				best = s.better(best, scale*c, z)
			}
		}
	}
	for range 3 { // the best scale may round some elements to other integers
		again := s.better(best, best.scale, best.zero)
		if again.gain <= best.gain {
			break
		}
		best = again
	}
	return s.stored(best.scale), int(best.zero)
}

// stored is the scale as the matrix holds it.
func (s *searcher) stored(scale float32) float32 {
	if s.format.Half {
		return FromFloat16(Float16(scale))
	}
	return scale
}

// candidate is a scale and a zero point, and how much of the block's weighted square they keep.
type candidate struct {
	scale, zero, gain float32
}

// better rounds the block with the scale and the zero point and returns the better of best and of what fits these integers.
func (s *searcher) better(best candidate, scale, zero float32) candidate {
	const magic = 3 << 22 // adding it rounds a float32 to an integer
	inverse := 1 / scale
	low, high := -zero, s.levels-zero
	var xq, qq float32
	x := s.x
	w := s.weight[:len(x)]
	for i, v := range x {
		q := v*inverse + magic - magic
		if q < low {
			q = low
		}
		if q > high {
			q = high
		}
		wq := w[i] * q
		xq += wq * v
		qq += wq * q
	}
	if qq <= 0 {
		return best
	}
	if gain := xq * xq / qq; gain > best.gain {
		return candidate{xq / qq, zero, gain}
	}
	return best
}
