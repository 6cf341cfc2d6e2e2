package routes

import (
	"slices"
	"strconv"
	"strings"

	"ortserve/sample"
)

// chain is llama.cpp's samplers: the steps by which a token is drawn, in their order. A step that is not in it is off.
type chain struct {
	at    string // the request's name of it
	steps []string
}

// The steps, as llama.cpp calls them.
const (
	stepPenalties   = "penalties"
	stepDRY         = "dry"
	stepTemperature = "temperature"
)

// filters are the steps that leave tokens out, in the order of package sample.
var filters = []string{"top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc"}

// stepLetters are the steps where samplers is a string: llama.cpp's --sampling-seq.
var stepLetters = map[rune]string{
	'd': stepDRY, 'k': "top_k", 'y': "typ_p", 'p': "top_p", 's': "top_n_sigma", 'm': "min_p", 't': stepTemperature, 'x': "xtc", 'e': stepPenalties,
}

// chainFields are the rows that llama.cpp adds to the parameters of sampling.
func chainFields[T any](of func(*T) *sampling) []field[T] {
	return append([]field[T]{
		aliasField("typ_p", "typical_p", of, func(s *sampling) **float64 { return &s.typicalP }),
		{name: "samplers", schema: schema{"anyOf": []schema{textSchema, listOf(textSchema)}}, read: func(_ *decoder, at string, v value, r *T) (err error) {
			of(r).chain, err = readChain(at, v)
			return err
		}},
	}, inertFields[T]("backend_sampling", "dynatemp_exponent")...)
}

// readChain reads a list of names, or a string of letters. An empty one says nothing.
func readChain(at string, v value) (*chain, error) {
	c := chain{at: at}
	switch v.kind {
	case kindText:
		for _, letter := range v.text {
			step, ok := stepLetters[letter]
			if !ok {
				return nil, notSupported(at, "%s: %s is no sampler of this server's; %s are", at, quote(string(letter)), letters())
			}
			c.steps = append(c.steps, step)
		}
	case kindList:
		for i, of := range v.list {
			at := at + "[" + strconv.Itoa(i) + "]"
			if of.kind != kindText {
				return nil, wrongType(at, "a string", of)
			}
			if _, known := stepPlace(of.text); !known {
				return nil, notSupported(at, "%s is %s, which is no sampler of this server's; %s are", at, quote(of.text), strings.Join(stepNames(), ", "))
			}
			c.steps = append(c.steps, of.text)
		}
	default:
		return nil, wrongType(at, "a string or a list of strings", v)
	}
	if len(c.steps) == 0 {
		return nil, nil
	}
	last, lastPlace := "", 0
	for i, step := range c.steps {
		if slices.Contains(c.steps[:i], step) {
			return nil, notSupported(at, "%s names %s twice, which is not supported", at, step)
		}
		if step == stepTemperature {
			continue
		}
		place, _ := stepPlace(step)
		if place < lastPlace {
			return nil, notSupported(at, "%s: %s does not come after %s here; the order is %s", at, step, last, strings.Join(stepNames(), ", "))
		}
		last, lastPlace = step, place
	}
	if c.temperatureBetween() {
		return nil, notSupported(at, "%s: temperature comes before all of %s, or after them", at, strings.Join(filters, ", "))
	}
	return &c, nil
}

// stepNames are all steps, in the order that llama.cpp has them in by default.
func stepNames() []string {
	return slices.Concat([]string{stepPenalties, stepDRY}, filters, []string{stepTemperature})
}

func letters() string {
	var all []string
	for letter := range stepLetters {
		all = append(all, string(letter))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// stepPlace returns where a step stands: the two that change single logits before those that leave tokens out. ok is false for a name
// that is none.
func stepPlace(step string) (place int, ok bool) {
	switch i := slices.Index(filters, step); {
	case step == stepPenalties, step == stepDRY:
		return 0, true
	case step == stepTemperature:
		return 0, true // before or behind
	case i >= 0:
		return 1 + i, true
	}
	return 0, false
}

// temperatureBetween says whether there are filters on both sides of the temperature, or a change of single logits behind it.
func (c *chain) temperatureBetween() bool {
	at := slices.Index(c.steps, stepTemperature)
	if at < 0 {
		return false
	}
	before, behind := 0, 0
	for i, step := range c.steps {
		filters := slices.Contains(filters, step)
		switch {
		case i < at && filters:
			before++
		case i > at && filters:
			behind++
		case i > at: // penalties or DRY
			return true
		}
	}
	return before > 0 && behind > 0
}

// apply turns off the steps that are not in the chain, and puts the temperature where it is.
func (c *chain) apply(p *sample.Params) {
	if c == nil {
		return
	}
	for _, step := range stepNames() {
		if slices.Contains(c.steps, step) {
			continue
		}
		switch step {
		case stepPenalties:
			p.RepeatPenalty, p.PresencePenalty, p.FrequencyPenalty = 1, 0, 0
		case stepDRY:
			p.DRY = sample.DRY{}
		case "top_n_sigma":
			p.TopNSigma = 0
		case "top_k":
			p.TopK = 0
		case "typ_p":
			p.TypicalP = 0
		case "top_p":
			p.TopP = 1
		case "min_p":
			p.MinP = 0
		case "xtc":
			p.XTCProbability, p.XTCThreshold = 0, 0
		case stepTemperature:
			p.Temperature = 1
		}
	}
	p.DRYFirst = slices.Index(c.steps, stepDRY) < slices.Index(c.steps, stepPenalties) && p.DRY.Multiplier != 0
	if at := slices.Index(c.steps, stepTemperature); at >= 0 {
		p.TemperatureLast = !slices.ContainsFunc(c.steps[at:], func(step string) bool { return slices.Contains(filters, step) })
	}
}
