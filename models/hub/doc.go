// Package hub brings models from a Hugging Face-style hub into the model store: it lists a repository at one commit, chooses the files
// that make a model, downloads them in parallel ranges and, where they are not ONNX yet, has them imported.
//
// What holds:
//
//   - A model appears in the store whole and verified, or not at all. Every file is checked against the digest that the hub's list
//     names for the commit: SHA-256 for what lies in its large-file storage, git's blob id for the rest. A file without one is refused.
//   - A download that ends at any point goes on where it was: at most a piece (1 MiB) of each connection is fetched again.
//   - Nothing is written outside the model's directory, and no more bytes than the list declares.
//   - The token goes to the endpoint's host alone. That host is trusted, wherever it is; a redirect away from it may not lead to an
//     address of a private network, nor from https to http.
//   - Bodies are not decompressed, lists are bounded, silence ends a request, and failures are repeated a bounded number of times.
//
// The protocol is that of the hub's public documentation (https://huggingface.co/docs/hub/api) and its client huggingface_hub.
package hub
