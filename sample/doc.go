// Package sample turns a row of logits into the next token.
//
// The order is fixed: penalties, temperature, top_k, top_p, min_p, draw (Hugging Face's and vLLM's order; llama.cpp applies
// the temperature last). Equal logits rank by the lower id, so that a result never depends on the order of a search.
//
// A caller that does not want the token drawn masks the logits and calls Resample; Accept counts the one that it takes.
//
// A draw is a pure function of the seed, the index of the token and the distribution: no generator is shared between sequences.
package sample
