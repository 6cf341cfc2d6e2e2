package hub

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/internal/testhub"
)

// What comes, and how often, whatever the hub does on the way.
func TestHubFaults(t *testing.T) {
	const size = 6<<20 + 7
	other := testhub.Random(4, size)
	every := func(n int64, do func(w http.ResponseWriter, r *http.Request, data []byte)) func(*world) {
		return func(w *world) {
			var count atomic.Int64
			w.Before = func(rw http.ResponseWriter, r *http.Request, path string) bool {
				if count.Add(1)%n != 0 || !strings.HasPrefix(path, "model.onnx.data_1") {
					return false
				}
				do(rw, r, w.Files[path])
				return true
			}
		}
	}
	status := func(code int, header ...string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	f := func(what string, set func(*world), wantErr string) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(3, size)})
			set(w)
			o := w.options()
			o.Stall, o.Attempts = 700*time.Millisecond, 12
			_, err := w.pull(o, "")
			if wantErr == "" {
				if err != nil {
					t.Fatal(err)
				}
				w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
				return
			}
			if err == nil || !strings.Contains(err.Error(), wantErr) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, wantErr)
			}
			w.nothingListed()
			if n := w.Requests.Load(); n > 100 {
				t.Errorf("%d requests: the attempts are not bounded", n)
			}
		})
	}
	f("each second request fails", every(2, status(503)), "")
	f("each second request is one too many", every(2, status(429, "Retry-After", "0")), "")
	f("all fail", every(1, status(500)), "the hub answers 500")
	f("all are too many", every(1, status(429)), "429")
	f("forbidden", every(1, status(403, "X-Error-Message", "Access to this is restricted")), "HF_TOKEN")
	f("unauthorized", every(1, status(401)), "HF_TOKEN")
	f("missing", every(1, status(404)), "model.onnx.data_1")
	f("stalls sometimes", every(2, func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+fmt.Sprintf("/%d", len(data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[:1])
		w.(http.Flusher).Flush()
		time.Sleep(1500 * time.Millisecond)
	}), "")
	f("is silent sometimes", every(3, func(http.ResponseWriter, *http.Request, []byte) { time.Sleep(1500 * time.Millisecond) }), "")
	f("ends early", every(2, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/3])
	}), "")
	f("ignores ranges", func(w *world) {
		w.Before = func(rw http.ResponseWriter, r *http.Request, path string) bool {
			r.Header.Del("Range")
			return false
		}
	}, "")
	f("sends more than there is", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		for range 10 {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}), "") // as far as the file goes it is right: the rest is not read
	f("is endless", every(1, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		for b := make([]byte, 1<<20); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}), "is not what the list says")
	f("another size", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-1))
		_, _ = w.Write(data[:len(data)-1])
	}), "the list says")
	f("another size in ranges", every(1, func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+fmt.Sprintf("/%d", len(data)+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data)
	}), "its size is not what the list says")
	f("other bytes", every(1, func(w http.ResponseWriter, _ *http.Request, _ []byte) { _, _ = w.Write(other) }), "is not what the list says")
	f("packed", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(data)
	}), `"gzip"`)
	f("the list fails at first", func(w *world) {
		w.List = func(m map[string]any) {
			if w.Lists.Load() < 3 {
				m["sha"] = 7 // not a string
			}
		}
	}, "its list is damaged")
}

// A list that would lead outside, or to what cannot be verified, is refused before anything is written.
func TestHostileLists(t *testing.T) {
	sibling := func(change func(map[string]any)) func(map[string]any) {
		return func(list map[string]any) {
			s := map[string]any{"rfilename": "config2.json", "size": 3, "blobId": testhub.BlobID([]byte("abc"))}
			change(s)
			list["siblings"] = append(list["siblings"].([]map[string]any), s)
		}
	}
	named := func(name string) func(map[string]any) {
		return sibling(func(s map[string]any) { s["rfilename"] = name })
	}
	w := newWorld(t, nil)
	f := func(what string, list func(map[string]any), want string) {
		t.Helper()
		w.List = list
		_, err := w.pull(w.options(), "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", what, err, want)
		}
		if entries, err := os.ReadDir(w.root); err != nil || len(entries) > 0 {
			t.Errorf("%s: something was written: %v, %v", what, entries, err)
		}
		if w.Requests.Load() > 0 {
			t.Errorf("%s: files were asked for", what)
		}
	}
	for _, name := range []string{
		"../../x", "..", "/etc/passwd", "a/../../x", "a//b", "./a", `..\x`, `C:\x`, "a\x00b", "", strings.Repeat("a", 2000), "a/\x1b[2J", "a\nb",
	} {
		f(fmt.Sprintf("%.20q", name), named(name), "is not taken")
	}
	f("a size below zero", sibling(func(s map[string]any) { s["size"] = -1 }), "-1 bytes")
	f("no digest of large-file storage", sibling(func(s map[string]any) { s["lfs"] = map[string]any{"size": 5, "sha256": "../../x"} }), "no digest")
	f("another digest", sibling(func(s map[string]any) { s["blobId"] = "ABC" }), "no digest")
	f("no commit", func(l map[string]any) { l["sha"] = "main" }, "names no commit")
	f("too many files", func(l map[string]any) {
		l["siblings"] = make([]map[string]any, maxFiles+1)
	}, "at most")
	f("a huge list", func(l map[string]any) { l["cardData"] = strings.Repeat("a", maxList) }, "more than")
	f("no digest", func(l map[string]any) {
		for _, s := range l["siblings"].([]map[string]any) {
			delete(s, "blobId")
			delete(s, "lfs")
		}
	}, "could not be verified")
	f("no model", func(l map[string]any) { l["siblings"] = []map[string]any{} }, "holds no model")
}

// The token is shown to the endpoint's host, and to nobody whom it redirects to; a redirect into a private network is refused.
func TestRedirects(t *testing.T) {
	var foreign atomic.Value
	f := func(what string, location func(w *world, r *http.Request) string, wantErr string) {
		t.Helper()
		w := newWorld(t, nil)
		var token atomic.Value
		w.Before = func(rw http.ResponseWriter, r *http.Request, _ string) bool {
			token.Store(r.Header.Get("Authorization"))
			if r.URL.Query().Get("again") == "1" {
				return false
			}
			rw.Header().Set("Location", location(w, r))
			rw.WriteHeader(http.StatusFound)
			return true
		}
		o := w.options()
		o.Token = "secret"
		_, err := w.pull(o, "")
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", what, err, wantErr)
		}
		if got := token.Load(); got != "Bearer secret" {
			t.Errorf("%s: the hub was shown %q", what, got)
		}
		if n := w.Requests.Load(); n > 100 {
			t.Errorf("%s: %d requests", what, n)
		}
	}
	other := testhub.New(t, testhub.TinyModel(t))
	other.Before = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		foreign.Store(r.Header.Get("Authorization"))
		return false
	}
	f("to the same host", func(_ *world, r *http.Request) string { return r.URL.Path + "?again=1" }, "")
	f("for ever", func(_ *world, r *http.Request) string { return r.URL.Path }, "more than 5 times")
	f("to loopback", func(_ *world, r *http.Request) string { return other.URL + r.URL.Path }, "private network")
	f("to a link-local address", func(*world, *http.Request) string { return "http://169.254.169.254/latest/meta-data" }, "private network")
	f("to a private address", func(*world, *http.Request) string { return "http://10.0.0.1/x" }, "private network")
	f("to a private IPv6 address", func(*world, *http.Request) string { return "http://[fd00::1]/x" }, "private network")
	f("to a mapped address", func(*world, *http.Request) string { return "http://[::ffff:127.0.0.1]/x" }, "private network")
	f("to a name of loopback", func(w *world, r *http.Request) string {
		return strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + r.URL.Path
	}, "private network")
	f("to a file", func(*world, *http.Request) string { return "file:///etc/passwd" }, "no web address")
	f("nowhere", func(*world, *http.Request) string { return "" }, "redirects to")
	if got := foreign.Load(); got != nil {
		t.Errorf("another host was asked, and shown %q", got)
	}

	// The transport for foreign hosts shows no token; its check of addresses is what the lines above have tried.
	h, err := New(Options{Endpoint: "http://hub.invalid", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	h.away = h.home // as if loopback were public
	u, err := url.Parse(strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/" + testRepo + "/resolve/" + other.Commit + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.open(t.Context(), u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if got := foreign.Load(); a.status != http.StatusOK || got != "" {
		t.Errorf("status %d, another host was shown %q", a.status, got)
	}
}

// What changes at the hub while a pull is interrupted: another file under the same commit is never joined to what came before, and a new
// commit takes the place of the old one.
func TestChangedMeanwhile(t *testing.T) {
	const size = 8 << 20
	first, second := testhub.Random(61, size), testhub.Random(62, size)
	f := func(what string, change func(w *world), wantErr string, want []byte) {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, map[string][]byte{"model.onnx.data_1": first})
			w.interrupted()
			w.Change(func() { change(w) })
			_, err := w.pull(w.options(), "")
			if wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), wantErr) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line with %q", err, wantErr)
				}
				w.nothingListed()
				if n := w.Sent.Load(); n > 4*size {
					t.Errorf("%d bytes were sent", n)
				}
				w.Change(func() { w.List, w.Files["model.onnx.data_1"] = nil, want }) // the hub comes to itself
				if _, err = w.pull(w.options(), ""); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
		})
	}
	listed := func(list map[string]any) { // the list still says what the file was
		for _, s := range list["siblings"].([]map[string]any) {
			if s["rfilename"] == "model.onnx.data_1" {
				s["lfs"] = map[string]any{"sha256": testhub.SHA256(first), "size": size}
			}
		}
	}
	f("the file, its list does not", func(w *world) { w.Files["model.onnx.data_1"], w.List = second, listed }, "is not what the list says", first)
	f("the file and its list", func(w *world) { w.Files["model.onnx.data_1"] = second }, "", second)
	f("the commit", func(w *world) { w.Files["model.onnx.data_1"], w.Commit = second, strings.Repeat("d1", 20) }, "", second)
	f("the commit alone", func(w *world) { w.Commit = strings.Repeat("d1", 20) }, "", first)
	f("the size", func(w *world) { w.Files["model.onnx.data_1"], w.List = second[:size-5], listed }, "the list says", first)
}
