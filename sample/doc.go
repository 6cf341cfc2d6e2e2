// Package sample turns a row of logits into the next token.
//
// The order is fixed: logit bias, end tokens, DRY, penalties, temperature, top_n_sigma, top_k, typical_p, top_p, min_p, XTC, draw. It is
// llama.cpp's, with the temperature where Hugging Face and vLLM have it; TemperatureLast has it where llama.cpp does. Equal logits rank by the lower id, so that a result never depends on the order of a search.
//
// A caller that does not want the token drawn masks the logits and calls Resample; Accept counts the one that it takes.
//
// A draw is a pure function of the seed, the index of the token and the distribution: no generator is shared between sequences.
package sample
