package sample

// golden is 2^64 divided by the golden ratio, the step of SplitMix64.
const golden = 0x9E3779B97F4A7C15

// Stream returns the seed of one of several answers to the same prompt, whose random streams must differ; the first has the request's own.
func Stream(seed uint64, choice int) uint64 {
	if choice == 0 {
		return seed
	}
	return mix64(seed + golden*uint64(choice))
}

// uniform returns number try of those that the token index of a random stream may use, in [0,1) with 53 random bits. It is SplitMix64
// (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014) read at any index, so a stream has no state to share or to
// lose.
func uniform(seed uint64, index, try int) float64 {
	x := mix64(mix64(seed) + golden*uint64(index+1))
	if try > 0 {
		x = mix64(x + golden*uint64(try))
	}
	return float64(x>>11) / (1 << 53)
}

// mix64 is SplitMix64's finalizer, a bijection.
func mix64(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB
	return x ^ (x >> 31)
}
