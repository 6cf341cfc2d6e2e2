package onnx

/*
#include <signal.h>
#include <string.h>

enum { SIGNALS = 65 };

static void signals_save(struct sigaction *saved) {
	for (int s = 1; s < SIGNALS; s++)
		if (sigaction(s, NULL, &saved[s])) saved[s].sa_handler = SIG_DFL;
}

// signals_restore sets those again whose handler is another one. It returns how many.
static int signals_restore(const struct sigaction *saved) {
	int n = 0;
	for (int s = 1; s < SIGNALS; s++) {
		struct sigaction now;
		if (saved[s].sa_handler == SIG_DFL || saved[s].sa_handler == SIG_IGN || sigaction(s, NULL, &now)) continue;
		if (now.sa_handler == saved[s].sa_handler && now.sa_flags == saved[s].sa_flags) continue;
		n += sigaction(s, &saved[s], NULL) == 0;
	}
	return n;
}
*/
import "C"

// signalHandlers are the process's handlers of signals. A provider's library may set its own when it is loaded, and Go ends the process
// where one of those is called on a stack that it does not know.
type signalHandlers [C.SIGNALS]C.struct_sigaction

// saveSignals returns the handlers that are set.
func saveSignals() *signalHandlers {
	s := new(signalHandlers)
	C.signals_save(&s[0])
	return s
}

// restore sets those again that were replaced, and returns how many.
func (s *signalHandlers) restore() int { return int(C.signals_restore(&s[0])) }
