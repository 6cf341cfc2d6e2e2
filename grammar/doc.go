// Package grammar says which tokens may come next, so that a text has a given form: that of a JSON Schema, a regular expression, one of some
// texts, or a grammar in llama.cpp's notation (GBNF).
//
// A Grammar is a tree of expressions over bytes, in which an expression may name another one above it, so that it describes what a
// pushdown automaton accepts. The automaton is built while texts are read: a state is the set of places where the text may be, each with
// its stack of what comes after, and states, their successors and their masks are kept for all sequences with that grammar.
//
// What holds:
//   - No state is a dead end: what cannot be completed is not entered. So a text that the matcher let through can always be completed, if the
//     vocabulary has a token for each byte.
//   - A text is never let through that the grammar does not describe. What cannot be compiled is an error that says what and where.
//   - A matcher with a limit lets only those tokens through after which the shortest completion still fits.
//   - Work is bounded: the sizes of what is compiled, the places of a state, and what is kept of states and masks.
//   - A Grammar and a Vocabulary are safe for concurrent use; a Matcher is not.
package grammar
