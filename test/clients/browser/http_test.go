package browser

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// ask sends a request, a POST where it has a body, and returns the answer, which must be a success. The caller closes its body.
func ask(t *testing.T, ctx context.Context, url, body string) *http.Response {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, b, err)
	}
	return resp
}

// getJSON decodes what the server says at url.
func getJSON(t *testing.T, url string, dst any) {
	t.Helper()
	resp := ask(t, t.Context(), url, "")
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(dst); err != nil {
		t.Fatal(err)
	}
}

// postJSON sends a request and reads its answer to the end.
func postJSON(t *testing.T, url, body string) {
	t.Helper()
	resp := ask(t, t.Context(), url, body)
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// streamJSON begins an answer that goes on until the function that it returns is called.
func streamJSON(t *testing.T, url, body string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	resp := ask(t, ctx, url, body) //nolint:bodyclose // the function that is returned closes it
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, resp.Body) // until it is cut
	}()
	return func() {
		cancel()
		<-done
		_ = resp.Body.Close()
	}
}
