package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hang is how long a test waits for what should take a second or two.
const hang = time.Minute

// tab is a browser of its own, with one page.
type tab struct {
	t        *testing.T
	ctx      context.Context //nolint:containedctx // chromedp's handle of the browser
	url      string
	axe      string
	mu       sync.Mutex
	problems []string
	refused  bool // the test has the server refuse requests, which the console tells
}

// newTab opens the server's page of that path, after what is to be done before. What the browser complains of, and each request to elsewhere, fails the test at its end.
func newTab(t *testing.T, server, path string, width, height int64, before ...func(*tab)) *tab {
	t.Helper()
	axe, err := os.ReadFile(required(t, "ORTSERVE_AXE"))
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(required(t, "ORTSERVE_CHROMIUM")), chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, url: server, axe: string(axe)}
	for _, f := range before {
		f(b)
	}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.screenshot("failed-" + t.Name())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Error(p)
		}
	})
	b.run(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		_, also := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		return errors.Join(err, also)
	}))
	b.size(width, height)
	b.open(path)
	return b
}

func (b *tab) listen(event any) {
	problem := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem("the page threw %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		problem("the console: %s %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		b.mu.Lock()
		expected := b.refused && strings.HasPrefix(e.Entry.Text, "Failed to load resource")
		b.mu.Unlock()
		if !expected {
			problem("the console: %s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.url+"/") && !strings.HasPrefix(u, "blob:"+b.url+"/") {
			problem("a request to %s", u)
		}
	}
}

// expectRefusals has the console's lines about refused requests not fail the test.
func (b *tab) expectRefusals() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = true
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hang)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a page of the server and waits until it has begun.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.url + path))
	b.wait(`document.body.dataset.ready === 'true'`)
}

// reload loads the page again, once all that it keeps is kept: a transaction waits for those before it.
func (b *tab) reload() {
	b.t.Helper()
	eval[int](b, `new Promise((done) => {
		const request = indexedDB.open('ortserve');
		request.onsuccess = () => {
			const transaction = request.result.transaction('conversations', 'readwrite');
			transaction.objectStore('conversations').count();
			transaction.oncomplete = () => { request.result.close(); done(0); };
		};
	})`)
	b.run(chromedp.Reload())
	b.wait(`document.body.dataset.ready === 'true'`)
}

// size makes the page that large; a narrow one is a telephone's.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	if width < 500 {
		b.run(chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateTouch))
		return
	}
	b.run(chromedp.EmulateViewport(width, height))
}

// dark has the browser say that the reader likes dark pages, or not.
func (b *tab) dark(is bool) {
	b.t.Helper()
	scheme := "light"
	if is {
		scheme = "dark"
	}
	b.run(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// put gives a field a text of several lines, as if it had been pasted.
func (b *tab) put(selector, text string) {
	b.t.Helper()
	eval[int](b, fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); return 0; })()`, selector, text))
}

// pick chooses an option of a list.
func (b *tab) pick(selector, value string) {
	b.t.Helper()
	eval[int](b, fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.value = %q; f.dispatchEvent(new Event('change', {bubbles: true})); return 0; })()`, selector, value))
}

// eval returns the value of an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hang)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.300s: %v", expression, err)
	}
	return v
}

func (b *tab) text(expression string) string {
	b.t.Helper()
	return eval[string](b, expression)
}

// wait waits until an expression is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for end := time.Now().Add(hang); ; time.Sleep(20 * time.Millisecond) {
		if eval[bool](b, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("never: %s", expression)
		}
	}
}

// click clicks what a selector finds first.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill replaces the text of a field as a reader does.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run(chromedp.Focus(chromedp.CSS(selector)))
	eval[int](b, `document.activeElement.select(), 0`)
	b.run(chromedp.KeyEvent(kb.Backspace))
	if text != "" {
		b.run(chromedp.KeyEvent(text))
	}
}

// say sends a message and waits for its answer, of which it returns the text.
func (b *tab) say(text string) string {
	b.t.Helper()
	b.send(text)
	b.idle()
	return b.text(`[...document.querySelectorAll('.assistant .body')].at(-1).textContent.trim()`)
}

func (b *tab) send(text string) {
	b.t.Helper()
	b.fill("#input", text)
	b.enter()
	b.wait(`document.querySelectorAll('.assistant').length`)
}

// idle waits until no answer comes.
func (b *tab) idle() {
	b.t.Helper()
	b.wait(`document.getElementById('stop').hidden && !document.querySelector('.running')`)
}

// enter presses Enter, as one event: a page that takes the key gets no end of line.
func (b *tab) enter() {
	b.t.Helper()
	key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13}
	b.run(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key)
		key.Type, key.Text = input.DispatchKeyEventTypeKeyUp, ""
		_, also := cdp.Call(ctx, t, input.DispatchKeyEvent, key)
		return errors.Join(err, also)
	}))
}

// screenshot keeps a picture of what is seen.
func (b *tab) screenshot(name string) {
	ctx, cancel := context.WithTimeout(b.ctx, hang)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(artefacts, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Errorf("screenshot %s: %v", name, err)
	}
}

// look keeps a picture and has axe-core look at the page: nothing serious may be found.
func (b *tab) look(name string) {
	b.t.Helper()
	b.screenshot(name)
	if !eval[bool](b, `Boolean(window.axe)`) {
		eval[int](b, b.axe+"\n;0")
	}
	var found []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	report := b.text(`axe.run({resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))`)
	if err := json.Unmarshal([]byte(report), &found); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range found {
		b.t.Logf("axe-core, %s: %s %s: %+v", name, v.Impact, v.ID, v.Nodes)
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("axe-core, %s: %s (%s, %s)", name, v.Help, v.ID, v.Impact)
		}
	}
}
