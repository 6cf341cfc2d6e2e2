// Package bench measures the server beside something else on the same machine in the same run, and prints ratios: medians
// of rounds in turn, so that a machine that is slower for a while is slower for both.
//
//	make bench
package bench
