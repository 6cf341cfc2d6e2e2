// Package pool holds the models that are served: it loads each when it is asked for, keeps it for a while after its last request, and
// makes room under the memory limit by unloading the one that was used least recently.
//
// Invariants:
//   - A loaded model has one engine. Requests for a model that is being loaded share that load.
//   - A model is unloaded only when no request uses it: what was given by Get stays whole until its release.
//   - What the loaded models take together, by Options.Need, is never above Options.Limit. Room is made before a model is opened, and
//     models are opened one at a time.
//   - A load that fails leaves all others as they are.
//   - What one group of users asks for does not shorten the stay of a model that others use; an admin decides for all.
package pool
