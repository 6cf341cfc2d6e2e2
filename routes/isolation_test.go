package routes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/engine"
)

// TestIsolation: many clients on few connections, some of which go away: each gets its own text, id and nothing else. The model
// repeats the prompt, which is a number that no other request has.
func TestIsolation(t *testing.T) {
	w := newWorld(t, "", func(w *world, _ *Options) {
		w.model.echo = true
		w.model.before = func(*engine.Batch) error { time.Sleep(100 * time.Microsecond); return nil }
	})
	const clients, requests = 3, 60 // as many as slots and queue hold
	var wg sync.WaitGroup
	var staying, answered atomic.Int32
	for i := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
			defer client.CloseIdleConnections()
			for j := range requests {
				nonce := fmt.Sprintf("%d%020d%d", i, rng.Uint64(), j)
				stream := j%2 == 0
				goes := rng.IntN(4) == 0
				body := fmt.Sprintf(`{"model":"tiny:1b","raw":true,"prompt":"%s","stream":%v,"x%s":1}`, nonce, stream, nonce)
				if !goes {
					staying.Add(1)
				}
				err := errBusy
				for end := time.Now().Add(10 * time.Second); errors.Is(err, errBusy) && time.Now().Before(end); {
					err = w.ask(client, body, nonce, goes, &answered)
				}
				if err != nil {
					t.Errorf("client %d, request %d: %v", i, j, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := answered.Load(); n < staying.Load() {
		t.Errorf("%d requests were answered, %d clients stayed", n, staying.Load())
	}
	eventually(t, "all slots are free", w.idle)
}

// errBusy: the slot of a client that went is not free yet.
var errBusy = errors.New("busy")

// ask sends a request whose answer must repeat nonce. With goes, it leaves after a moment.
func (w *world) ask(client *http.Client, body, nonce string, goes bool, answered *atomic.Int32) error {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	if goes {
		time.AfterFunc(time.Millisecond, cancel)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.addr+"/api/generate", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Request-Id", "id-"+nonce)
	res, err := client.Do(req)
	if err != nil {
		if goes {
			return nil
		}
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		time.Sleep(5 * time.Millisecond)
		return errBusy
	}
	if id, ignored := res.Header.Get("X-Request-Id"), res.Header.Get("X-Ignored-Params"); id != "id-"+nonce || ignored != "x"+nonce {
		return fmt.Errorf("headers of another request: %q, %q; mine is %s", id, ignored, nonce)
	}
	text := ""
	lines := json.NewDecoder(res.Body)
	for {
		var a struct {
			Response string
			Done     bool
		}
		err := lines.Decode(&a)
		text += a.Response
		switch {
		case !strings.HasPrefix(nonce, text):
			return fmt.Errorf("answered %q; mine is %s", text, nonce)
		case goes && err != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the answer has no end")
		case err != nil:
			return err
		case a.Done && text != nonce:
			return fmt.Errorf("answered %q; mine is %s", text, nonce)
		case a.Done:
			answered.Add(1)
			return nil
		}
	}
}
