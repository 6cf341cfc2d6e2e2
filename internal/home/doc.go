// Package home says where things lie that are kept outside the checkout: the runtime library, models, downloads, Python
// environments for tests. It also holds the pins (pins.go): the one place that names versions and checksums of what is
// brought from elsewhere.
//
// The folder, called HOME in comments:
//
//	HOME/onnxruntime/VERSION/   the runtime library with its licence
//	HOME/models/                the model store
//	HOME/downloads/             downloads and temporary files; what is left there may be removed at any time
//	HOME/pyenv/HASH/            Python environments of tests
//	HOME/locks/                 lock files
package home
