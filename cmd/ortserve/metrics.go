package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serveMetrics serves /metrics on an address of its own, without keys. The caller calls the function when the server has stopped, so that
// its last numbers can be read until then.
func serveMetrics(ctx context.Context, addr string, metrics http.Handler, log *slog.Logger) (end func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics-addr: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	served := fenced(func() error { return server.Serve(listener) })
	log.Info("metrics", "addr", listener.Addr().String())
	return func() {
		_ = server.Close() // its connections are of readers who will not find it again
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics were not served any more", "error", err)
		}
	}, nil
}
