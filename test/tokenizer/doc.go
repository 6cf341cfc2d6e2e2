// Package tokenizer compares the tokenizer with Hugging Face's, on text that a seeded script makes anew each time: the
// default model's tokenizer.json, one of each family whose vocabulary is trained on the spot, and, where ORTSERVE_TOKENIZERS
// names a folder of them, published files.
package tokenizer
