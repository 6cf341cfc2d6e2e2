# syntax=docker/dockerfile:1

# docker build -t ortserve .
# docker run -p 9112:9112 -e ORTSERVE_API_KEY=choose-one -v ~/.cache/ortserve/models:/var/lib/ortserve/models:ro ortserve
#
# Which runtime library it brings is pinned in internal/home/pins.go, as for make run.

ARG BUILD_BASE=golang:1.26-bookworm
ARG RUN_BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=docker
ENV CGO_ENABLED=1 ORTSERVE_HOME=/var/lib/ortserve
RUN go run ./scripts/fetch runtime && rm -rf "$ORTSERVE_HOME/downloads" "$ORTSERVE_HOME/locks" && mkdir "$ORTSERVE_HOME/models"
RUN go build -trimpath -ldflags "-X ortserve/internal/buildinfo.version=${VERSION}" -o /usr/local/bin/ortserve ./cmd/ortserve

FROM ${RUN_BASE}
# For the runtime library, which is C++.
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/*
COPY --from=build --chown=65532:65532 /var/lib/ortserve /var/lib/ortserve
COPY --from=build /usr/local/bin/ortserve /usr/local/bin/ortserve
COPY LICENSE /usr/share/doc/ortserve/LICENSE
USER 65532:65532
ENV ORTSERVE_HOME=/var/lib/ortserve ORTSERVE_ADDR=0.0.0.0:9112
EXPOSE 9112
HEALTHCHECK --interval=10s --timeout=4s --start-period=120s CMD ["/usr/local/bin/ortserve", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ortserve"]
# It listens for other machines, so it wants a key (ORTSERVE_API_KEY), or to be told that none is meant (--insecure-no-auth).
CMD ["serve"]
