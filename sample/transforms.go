package sample

// before says whether a ranks above b: the larger logit, then the lower id.
func (a candidate) before(b candidate) bool {
	return a.logit > b.logit || a.logit == b.logit && a.id < b.id
}

// topP keeps the fewest highest-ranked candidates whose weights reach want, and returns them, lowest first, with their sum.
func topP(c []candidate, want float64) ([]candidate, float64) {
	first := func(a, b candidate) bool { return a.before(b) }
	// The heap lies at the front and what was taken from it behind, so that no second slice is needed.
	heapify(c, first)
	var sum float64
	n := len(c)
	for n > 0 && sum < want {
		n--
		c[0], c[n] = c[n], c[0]
		sum += c[n].weight
		sink(c[:n], 0, first)
	}
	return c[n:], sum
}

// minP keeps the candidates whose weight is at least p times the largest, and returns them with their sum.
func minP(c []candidate, p float64) ([]candidate, float64) {
	var largest float64
	for _, t := range c {
		largest = max(largest, t.weight)
	}
	var sum float64
	kept := c[:0]
	for _, t := range c {
		if t.weight >= p*largest {
			kept = append(kept, t)
			sum += t.weight
		}
	}
	return kept, sum
}

// heapify makes c a binary heap whose root no other element is above of.
func heapify(c []candidate, above func(a, b candidate) bool) {
	for i := len(c)/2 - 1; i >= 0; i-- {
		sink(c, i, above)
	}
}

// sink moves element i down to its place.
func sink(c []candidate, i int, above func(a, b candidate) bool) {
	for {
		child := 2*i + 1
		if child >= len(c) {
			return
		}
		if child+1 < len(c) && above(c[child+1], c[child]) {
			child++
		}
		if !above(c[child], c[i]) {
			return
		}
		c[i], c[child] = c[child], c[i]
		i = child
	}
}
