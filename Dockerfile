# syntax=docker/dockerfile:1

# docker build -t ortserve .                       computes on the processor
# docker build -t ortserve:cuda --target cuda .    on an NVIDIA device: docker run --gpus all
# docker run --stop-timeout 40 -p 9112:9112 -e ORTSERVE_API_KEY=choose-one -v ~/.cache/ortserve/models:/var/lib/ortserve/models:ro ortserve
#
# Everything that the server writes lies below /var/lib/ortserve; the rest of the root may be read-only. deploy/compose has a compose file.
# Versions and checksums of the runtime library are pinned in internal/home/pins.go, as for make run.

ARG BUILD_BASE=golang:1.26-bookworm
ARG RUN_BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG VERSION=docker
ENV CGO_ENABLED=1 GOCACHE=/go/build
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build \
    go build -trimpath -ldflags "-X ortserve/internal/buildinfo.version=${VERSION}" -o /out/ortserve ./cmd/ortserve \
    && go build -o /out/fetch ./scripts/fetch

FROM build AS parts-cpu
RUN --mount=type=cache,target=/var/cache/ortserve \
    lib=$(ORTSERVE_HOME=/var/cache/ortserve /out/fetch runtime) && cp -r "$(dirname "$lib")" /out/onnxruntime \
    && ln -s "$(basename "$lib")" /out/onnxruntime/libonnxruntime.so
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build \
    go run ./scripts/sbom -version "${VERSION}" -out /out/doc /out/ortserve

# What all images have in common.
FROM ${RUN_BASE} AS base
# The runtime library is C++; models are pulled over TLS.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libstdc++6 && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /var/lib/ortserve /var/lib/ortserve/models
USER 65532:65532
ENV ORTSERVE_HOME=/var/lib/ortserve ORTSERVE_ADDR=0.0.0.0:9112 ORTSERVE_ONNXRUNTIME=/usr/local/lib/onnxruntime/libonnxruntime.so
EXPOSE 9112
HEALTHCHECK --interval=10s --timeout=4s --start-period=120s CMD ["/usr/local/bin/ortserve", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ortserve"]
# It listens for other machines, so it wants a key (ORTSERVE_API_KEY), or to be told that none is meant (--insecure-no-auth).
CMD ["serve"]
ARG VERSION=docker
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ortserve" \
      org.opencontainers.image.description="Serves language models as ONNX graphs behind the OpenAI, Ollama, Anthropic and llama.cpp APIs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT"

FROM base AS cpu
COPY --from=parts-cpu /out/onnxruntime /usr/local/lib/onnxruntime
COPY --from=parts-cpu /out/doc /usr/share/doc/ortserve
COPY --from=build /out/ortserve /usr/local/bin/ortserve

# ONNX Runtime with CUDA and NVIDIA's libraries, 2 GB, under NVIDIA's terms (LICENSE.nvidia-* beside them). The driver is the machine's.
FROM build AS parts-cuda
RUN --mount=type=cache,target=/var/cache/ortserve \
    lib=$(ORTSERVE_HOME=/var/cache/ortserve /out/fetch cuda) && cp -r "$(dirname "$lib")" /out/onnxruntime \
    && ln -s "$(basename "$lib")" /out/onnxruntime/libonnxruntime.so
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build \
    go run ./scripts/sbom -cuda -version "${VERSION}" -out /out/doc /out/ortserve

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=parts-cuda /out/onnxruntime /usr/local/lib/onnxruntime
COPY --from=parts-cuda /out/doc /usr/share/doc/ortserve
COPY --from=build /out/ortserve /usr/local/bin/ortserve

# What is built where no target is named.
FROM cpu
