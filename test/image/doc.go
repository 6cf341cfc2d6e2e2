// Package image tests the container image: build.sh builds it from the Dockerfile without a Docker engine, and the tests run it by
// bubblewrap as an engine would with a read-only root and no network, as the image's own user. `make test-image` is both.
package image
