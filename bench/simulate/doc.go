// Package simulate tells how a server would answer a trace of requests on a machine, or several, that are not here.
//
// The engine and its scheduler are the real ones; only the model is made up: a run takes the time that a Cost says, which is fitted to what
// `ortserve bench --json` measured and scaled by bytes and operations to other shapes and machines. Time is that of testing/synctest, so an
// hour of requests takes seconds, and the same trace always gives the same answer. That is why everything is run by tests.
package simulate
