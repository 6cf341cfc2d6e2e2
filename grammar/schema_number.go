package grammar

import (
	"fmt"
	"math/big"
	"strings"
)

// bound is a limit of numbers.
type bound struct {
	at        *big.Rat
	exclusive bool
}

// numbers returns the expression of the numbers that are valid by nodes.
func (c *schemaCompiler) numbers(nodes []*value, allowed types) (*expr, error) {
	integer := allowed&typeFraction == 0
	var lo, hi *bound
	var multiples []*value
	for _, n := range nodes {
		for _, k := range []string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} {
			v := n.get(k)
			if v == nil {
				continue
			}
			b := &bound{v.number, strings.HasPrefix(k, "exclusive")}
			switch strings.HasSuffix(k, "inimum") {
			case true:
				if lo == nil || b.at.Cmp(lo.at) > 0 || b.at.Cmp(lo.at) == 0 && b.exclusive {
					lo = b
				}
			case false:
				if hi == nil || b.at.Cmp(hi.at) < 0 || b.at.Cmp(hi.at) == 0 && b.exclusive {
					hi = b
				}
			}
		}
		if n.get("multipleOf") != nil {
			multiples = append(multiples, n)
		}
		if f := n.get("format"); f != nil && (f.text == "int32" || f.text == "int64") {
			bits := uint(31)
			if f.text == "int64" {
				bits = 63
			}
			top := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), bits))
			if hi == nil || hi.at.Cmp(top) >= 0 {
				hi = &bound{top, true}
			}
			if low := new(big.Rat).Neg(top); lo == nil || lo.at.Cmp(low) < 0 {
				lo = &bound{low, false}
			}
			integer = true
		}
	}
	var not []*expr
	for _, v := range notEnumOf(nodes) {
		if v.kind == '#' {
			not = append(not, spellings(v))
		}
	}
	if allowed&typeNumber == typeFraction {
		zeros := repeat(literal("0"), 0, -1)
		not = append(not, cat(optional(literal("-")), repeat(c.words.digit, 1, -1), optional(cat(literal("."), zeros))))
	}
	if lo == nil && hi == nil && len(multiples) == 0 && len(not) == 0 {
		if integer {
			return c.words.integer, nil
		}
		return c.words.number, nil
	}
	e, err := numberRange(lo, hi, integer)
	if err != nil {
		return nil, fail(nodes[0], "minimum", "%s", err)
	}
	if len(multiples) == 0 && len(not) == 0 {
		return e, nil
	}
	factors := []factor{{e: e}}
	keyword, where := "not", nodes[0]
	for _, n := range multiples {
		d, err := multipleOf(n.get("multipleOf").number)
		if err != nil {
			return nil, fail(n, "multipleOf", "%s", err)
		}
		factors = append(factors, factor{e: d})
		keyword, where = "multipleOf", n
	}
	if len(not) > 0 {
		factors = append(factors, factor{e: alt(not...), not: true})
	}
	e, err = product(&c.budget, "the number", factors...)
	if err != nil {
		return nil, fail(where, keyword, "%s", err)
	}
	return e, nil
}

// spellings are the texts of number v without an exponent.
func spellings(v *value) *expr {
	zeros := repeat(literal("0"), 0, -1)
	switch {
	case v.number.Sign() == 0:
		return cat(optional(literal("-")), literal("0"), optional(cat(literal(".0"), zeros)))
	case v.number.IsInt():
		return cat(literal(v.text), optional(cat(literal(".0"), zeros)))
	}
	return cat(literal(v.text), zeros)
}

// numberRange is the numbers from lo to hi, without exponents; nil is no bound.
func numberRange(lo, hi *bound, integer bool) (*expr, error) {
	if integer {
		lo, hi = whole(lo, 1), whole(hi, -1)
	}
	for _, b := range []*bound{lo, hi} {
		if b == nil {
			continue
		}
		i, f, _ := strings.Cut(strings.TrimPrefix(decimal(b.at), "-"), ".")
		if len(i) > maxDigits || len(f) > maxDigits {
			return nil, fmt.Errorf("%s has too many digits", clip(decimal(b.at)))
		}
	}
	if lo != nil && hi != nil {
		if d := lo.at.Cmp(hi.at); d > 0 || d == 0 && (lo.exclusive || hi.exclusive) {
			return nothing, nil
		}
	}
	zero := &bound{at: new(big.Rat)}
	// Below zero: a minus sign and the range of what follows it.
	negative := nothing
	if lo == nil || lo.at.Sign() < 0 {
		from, to := &bound{zero.at, true}, (*bound)(nil)
		if hi != nil && hi.at.Sign() <= 0 {
			from = &bound{new(big.Rat).Neg(hi.at), hi.exclusive || hi.at.Sign() == 0}
		}
		if integer {
			from = whole(from, 1)
		}
		if lo != nil {
			to = &bound{new(big.Rat).Neg(lo.at), lo.exclusive}
		}
		negative = cat(literal("-"), magnitudes(from, to, integer))
	}
	positive := nothing
	if hi == nil || hi.at.Sign() > 0 || hi.at.Sign() == 0 && !hi.exclusive {
		from := lo
		if lo == nil || lo.at.Sign() < 0 {
			from = zero
		}
		positive = magnitudes(from, hi, integer)
	}
	return alt(positive, negative), nil
}

// whole returns the bound of integers: the nearest inside.
func whole(b *bound, direction int64) *bound {
	if b == nil {
		return nil
	}
	floor := new(big.Int).Div(b.at.Num(), b.at.Denom()) // Euclidean, the denominator is positive
	if b.at.IsInt() {
		if b.exclusive {
			floor.Add(floor, big.NewInt(direction))
		}
	} else if direction > 0 {
		floor.Add(floor, big.NewInt(1))
	}
	return &bound{at: new(big.Rat).SetInt(floor)}
}

// magnitudes is the numbers without a sign from lo on, which is not negative, to hi, which may be nil.
func magnitudes(lo, hi *bound, integer bool) *expr {
	if hi != nil {
		if d := lo.at.Cmp(hi.at); d > 0 || d == 0 && (lo.exclusive || hi.exclusive) {
			return nothing
		}
	}
	m := &digitWriter{integer: integer, lo: *lo, digit: words().digit, memo: make(map[digitPlace]*expr)}
	m.loInt, m.loFrac, _ = strings.Cut(decimal(lo.at), ".")
	most := maxDigits
	if hi != nil {
		m.hi = *hi
		m.hiInt, m.hiFrac, _ = strings.Cut(decimal(hi.at), ".")
		most = len(m.hiInt)
	}
	var branches []*expr
	for n := len(m.loInt); n <= most; n++ {
		if n > len(m.loInt) && hi == nil { // all that are longer
			free := cat(byteRange('1', '9'), repeat(m.digit, n-1, most-1), m.fraction(0, false, false))
			branches = append(branches, free)
			break
		}
		branches = append(branches, m.whole(n, 0, n == len(m.loInt), hi != nil && n == most))
	}
	return alt(branches...)
}

// digitWriter writes the digits of numbers between two bounds. While the digits so far are those of a bound, the next is bounded by its next.
type digitWriter struct {
	integer       bool
	lo, hi        bound
	loInt, loFrac string
	hiInt, hiFrac string
	digit         *expr
	memo          map[digitPlace]*expr
}

type digitPlace struct {
	length   int // digits before the point; -1 behind it
	at       int
	low, top bool // the digits so far are those of lo, of hi
}

// whole is the rest of length digits before the point, and what follows them.
func (m *digitWriter) whole(length, at int, low, top bool) *expr {
	if at == length {
		return m.fraction(0, low, top)
	}
	if at > 0 && !low && !top {
		return cat(repeat(m.digit, length-at, length-at), m.fraction(0, false, false))
	}
	p := digitPlace{length, at, low, top}
	if e, ok := m.memo[p]; ok {
		return e
	}
	from, to := byte('0'), byte('9')
	if at == 0 && length > 1 {
		from = '1'
	}
	if low {
		from = max(from, m.loInt[at])
	}
	if top {
		to = m.hiInt[at]
	}
	e := m.next(from, to, low, top, func(low, top bool) *expr { return m.whole(length, at+1, low, top) })
	m.memo[p] = e
	return e
}

// next is a digit between from and to and what follows it.
func (m *digitWriter) next(from, to byte, low, top bool, after func(low, top bool) *expr) *expr {
	var branches []*expr
	var free byteSet
	for d := from; d <= to; d++ {
		switch {
		case low && d == from, top && d == to:
			branches = append(branches, cat(literal(string(d)), after(low && d == from, top && d == to)))
		default:
			free.add(d)
		}
	}
	if free != (byteSet{}) {
		branches = append(branches, cat(oneOf(free), after(false, false)))
	}
	return alt(branches...)
}

// fraction is what may follow at digits behind the point: nothing, or more digits.
func (m *digitWriter) fraction(at int, low, top bool) *expr {
	p := digitPlace{-1, at, low, top}
	if e, ok := m.memo[p]; ok {
		return e
	}
	low = low && (at < len(m.loFrac) || m.lo.exclusive) // whatever follows the whole of lo is above it
	end := nothing
	isLow := low && strings.Trim(m.loFrac[min(at, len(m.loFrac)):], "0") == ""
	isTop := top && strings.Trim(m.hiFrac[min(at, len(m.hiFrac)):], "0") == ""
	if (!low || isLow && !m.lo.exclusive) && !(isTop && m.hi.exclusive) {
		end = empty
	}
	more := nothing
	switch {
	case m.integer || at == maxDigits || top && at >= len(m.hiFrac):
	case !low && !top:
		more = repeat(m.digit, 1, maxDigits-at)
	default:
		from, to := byte('0'), byte('9')
		if low && at < len(m.loFrac) {
			from = m.loFrac[at]
		}
		if top {
			to = m.hiFrac[at]
		}
		more = m.next(from, to, low, top, func(low, top bool) *expr { return m.fraction(at+1, low, top) })
	}
	if at == 0 {
		more = cat(literal("."), more)
	}
	e := alt(end, more)
	m.memo[p] = e
	return e
}

// What multipleOf may be: the states of its automaton are its digits' value times its decimal places.
const (
	maxMultiple = 4000
	maxPlaces   = 6
)

// multipleOf is the numbers without exponents that are multiples of m: read from the left, the state is the remainder.
func multipleOf(m *big.Rat) (*expr, error) {
	_, frac, _ := strings.Cut(decimal(m), ".")
	places := len(frac)
	scaled := new(big.Rat).Mul(m, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)))
	if places > maxPlaces || !scaled.Num().IsInt64() || scaled.Num().Int64() > maxMultiple {
		return nil, fmt.Errorf("%s is not compiled: at most %d, and at most %d decimal places", clip(decimal(m)), maxMultiple, maxPlaces)
	}
	p := int(scaled.Num().Int64())
	// State 0 is the beginning, 1 comes after a minus; then, for k = 0 (before the point) to places+1, k*p+rem: k-1 digits behind it; the last
	// group, after the point's digits are used up, takes zeros alone.
	d := &dfa{classSets: make([]byteSet, 4)}
	const (
		other = iota
		minus
		point
		zero
	)
	for i := 1; i <= 9; i++ {
		var s byteSet
		s.add(byte('0' + i))
		d.classSets = append(d.classSets, s)
	}
	for b := range 256 {
		class := other
		switch {
		case b == '-':
			class = minus
		case b == '.':
			class = point
		case b >= '0' && b <= '9':
			class = zero + b - '0'
		}
		d.classes[b] = uint8(class)
		if class <= zero {
			d.classSets[class].add(byte(b))
		}
	}
	state := func(k, rem int) int32 { return int32(2 + k*p + rem) }
	row := func(f func(class int) int32) {
		for class := range d.classSets {
			d.next = append(d.next, f(class))
		}
	}
	digitsOnly := func(class int) (int, bool) { return class - zero, class >= zero }
	for i := range 2 {
		row(func(class int) int32 {
			if digit, ok := digitsOnly(class); ok {
				return state(0, digit%p)
			}
			if class == minus && i == 0 {
				return 1
			}
			return -1
		})
	}
	d.accept = []bool{false, false}
	for k := range places + 2 {
		scale := 1
		for range places - max(0, k-1) {
			scale = scale * 10 % p
		}
		for rem := range p {
			row(func(class int) int32 {
				digit, ok := digitsOnly(class)
				switch {
				case k == 0 && class == point:
					return state(1, rem)
				case !ok:
					return -1
				case k == 0:
					return state(0, (rem*10+digit)%p)
				case k == places+1 && digit != 0:
					return -1
				case k == places+1:
					return state(k, rem)
				}
				return state(k+1, (rem*10+digit)%p)
			})
			d.accept = append(d.accept, rem*scale%p == 0)
		}
	}
	return untrimmed(d), nil
}
