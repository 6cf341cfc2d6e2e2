package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// runHealthcheck asks a server's /readyz. It is what a container's health check runs, where there is no shell and no curl.
func runHealthcheck(ctx context.Context, args []string, t terminal) error {
	f := flag.NewFlagSet("healthcheck", flag.ContinueOnError)
	f.SetOutput(t.err)
	addr := f.String("addr", or(os.Getenv("ORTSERVE_ADDR"), "127.0.0.1:9112"), "`HOST:PORT` that the server listens on; also ORTSERVE_ADDR")
	timeout := f.Duration("timeout", 3*time.Second, "how long to wait for the answer")
	if err := f.Parse(args); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(*addr)
	if err != nil {
		return fmt.Errorf("--addr %q: %w", *addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens everywhere
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", *addr, res.Status)
	}
	return nil
}

// or returns a, or b where a is empty.
func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
