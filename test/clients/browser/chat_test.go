package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"ortserve/internal/testenv"
)

// control presses a key with Control held, and Shift too where the key is a capital letter.
func (b *tab) control(key string) {
	b.t.Helper()
	modifiers := []chromedp.Modifier{chromedp.ModifierCtrl}
	if key == strings.ToUpper(key) && key != strings.ToLower(key) {
		modifiers = append(modifiers, chromedp.ModifierShift)
	}
	b.run(chromedp.KeyEvent(key, chromedp.KeyModifiers(modifiers...)))
}

// titles are the conversations that the list has.
func (b *tab) titles() string {
	b.t.Helper()
	return b.text(`[...document.querySelectorAll('#list .open')].map((e) => e.textContent).join('|')`)
}

// messages are the texts that are shown, each after its role.
func (b *tab) messages() string {
	b.t.Helper()
	return b.text(`[...document.querySelectorAll('.message')].map((m) => m.classList[1] + ': ' + m.querySelector('.body').textContent.trim()).join('|')`)
}

func (b *tab) want(what, got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// TestConversations: two of them, kept over a reload, found, renamed, deleted and brought back, exported and imported.
func TestConversations(t *testing.T) {
	s := start(t)
	b := newTab(t, s.URL, "/", 1280, 800)
	b.look("empty")
	b.set("temperature", "0")
	b.set("max_tokens", "40")
	b.click(`#panel [data-toggle="panel"]`)

	first := b.say("What is the capital of France?")
	if !strings.Contains(first, "Paris") {
		t.Errorf("the capital of France: %q", first)
	}
	stats := b.text(`document.querySelector('.stats').textContent`)
	for _, part := range []string{"smollm2:135m", " tokens · ", " tokens/s", "first after", "of it cached"} {
		if !strings.Contains(stats, part) {
			t.Errorf("under the answer: %q, without %q", stats, part)
		}
	}
	b.control("O")
	b.wait(`document.querySelector('.greeting')`)
	b.say("Write one word.")
	b.want("the list", b.titles(), "Write one word.|What is the capital of France?")
	if used := b.text(`document.getElementById('meter-text').textContent`); !strings.HasSuffix(used, " of 2,048 tokens") || strings.HasPrefix(used, "0 ") {
		t.Errorf("the window in use: %q", used)
	}
	b.screenshot("two-conversations")

	second := b.messages()
	b.reload()
	b.want("after a reload", b.messages(), second)
	b.click(`#list li:last-child .open`)
	b.want("the other conversation", b.messages(), "user: What is the capital of France?|assistant: "+first)

	b.control("k")
	b.run(chromedp.SendKeys(chromedp.CSS("#search"), "PARIS"))
	b.want("found", b.titles(), "What is the capital of France?")
	b.fill("#search", "")

	b.click(`.item.current [aria-label^="Rename"]`)
	b.fill(".rename", "Capitals")
	b.enter()
	b.wait(`[...document.querySelectorAll('#list .open')].some((e) => e.textContent === 'Capitals')`)

	b.click(`.item.current [aria-label^="Delete"]`)
	b.want("after the deletion", b.titles(), "Write one word.")
	b.click(`.toast .link`)
	b.want("after undo", b.messages(), "user: What is the capital of France?|assistant: "+first)

	// The file is caught where the page hands it to the browser.
	eval[int](b, `URL.createObjectURL = (blob) => { window.file = blob; return 'blob:' + location.origin + '/x'; }; HTMLAnchorElement.prototype.click = () => {}; 0`)
	b.click("#export")
	file := b.text(`window.file.text()`)
	var exported struct {
		Format        string
		Conversations []struct{ Title string }
	}
	if err := json.Unmarshal([]byte(file), &exported); err != nil || len(exported.Conversations) != 2 {
		t.Fatalf("the exported file: %v, %.200s", err, file)
	}
	path := filepath.Join(t.TempDir(), "conversations.json")
	for _, c := range []struct{ content, toast, titles string }{
		{"no JSON", "This file is no JSON.", "Write one word.|Capitals"},
		{`{"format":"x"}`, "This file does not hold conversations of this page.", "Write one word.|Capitals"},
		{`{"format":"ortserve.conversations","conversations":[{"leaf":"a","nodes":{"a":{"id":"a","parent":"a","role":"user","content":"x"}}}]}`, "Conversation 1 of this file is damaged.", "Write one word.|Capitals"},
		{file, "2 conversations were imported.", "Write one word.|Write one word.|Capitals|Capitals"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		b.run(chromedp.SetUploadFiles(chromedp.CSS("#import"), []string{path}))
		b.wait(fmt.Sprintf(`[...document.querySelectorAll('.toast span')].at(-1)?.textContent === %q`, c.toast))
		b.want("after the import of "+c.content[:7], b.titles(), c.titles)
	}
	b.reload()
	b.want("after another reload", b.titles(), "Write one word.|Write one word.|Capitals|Capitals")
}

// set opens the panel and fills in a number of it.
func (b *tab) set(name, value string) {
	b.t.Helper()
	if b.text(`document.body.dataset.panel`) != "open" {
		b.click(`main [data-toggle="panel"]`)
	}
	b.fill("#sampling-"+name, value)
}

// slots is what GET /slots says.
func slots(t *testing.T, s *testenv.Server) (busy, held int) {
	t.Helper()
	var all []struct {
		IsProcessing bool `json:"is_processing"`
		NPast        int  `json:"n_past"`
	}
	getJSON(t, s.URL+"/slots", &all)
	for _, slot := range all {
		if slot.IsProcessing {
			busy++
		}
		held += slot.NPast
	}
	return busy, held
}

// TestStop: the button ends the sequence in the server, and so does Escape, and leaving the page.
func TestStop(t *testing.T) {
	s := start(t)
	b := newTab(t, s.URL, "/", 1280, 800)
	eventually := func(want int) {
		t.Helper()
		for end := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
			busy, _ := slots(t, s)
			if busy == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d slots are busy, not %d", busy, want)
			}
		}
	}
	f := func(name string, stop func()) {
		t.Helper()
		b.click("#new-chat") // behind stopped answers the model writes short ones
		b.send("Tell me a very long story, with many chapters, " + name + ".")
		b.wait(`document.querySelector('.running .body')?.textContent.length > 40`)
		eventually(1)
		stop()
		eventually(0)
		_, held := slots(t, s)
		time.Sleep(100 * time.Millisecond) // some ten tokens, if the sequence ran on
		if _, later := slots(t, s); later != held {
			t.Errorf("%s: the slots hold %d tokens, and then %d", name, held, later)
		}
		if held > 1500 {
			t.Errorf("%s: %d tokens were written: the answer had ended by itself", name, held)
		}
	}
	eval[int](b, `document.getElementById('sampling-temperature').value = '', 0`)
	f("by the button", func() { b.screenshot("streaming"); b.click("#stop") })
	b.idle()
	if stats := b.text(`[...document.querySelectorAll('.stats')].at(-1).textContent`); !strings.HasSuffix(stats, " · stopped") {
		t.Errorf("under the answer: %q", stats)
	}
	text := b.messages()
	b.reload()
	b.want("a stopped answer after a reload", b.messages(), text)
	f("by a key", func() { b.run(chromedp.KeyEvent(kb.Escape)) })
	b.idle()
	f("by going away", func() { b.run(chromedp.Reload()) })
	b.wait(`document.body.dataset.ready === 'true'`)
	if got := b.messages(); !strings.Contains(got, "by going away") || strings.Count(got, "assistant: ") != 1 {
		t.Errorf("what the page had when it was closed: %q", got)
	}
}

// TestEditAndRegenerate: each makes a branch, and the one before can be had again.
func TestEditAndRegenerate(t *testing.T) {
	b := newTab(t, start(t).URL, "/", 1280, 800)
	b.set("max_tokens", "24")
	b.set("temperature", "0.9")
	b.set("seed", "1")
	first := b.say("Name a colour.")
	b.set("seed", "2")
	b.click(`.assistant [aria-label="Answer again"]`)
	b.idle()
	again := b.messages()
	if again == "user: Name a colour.|assistant: "+first {
		t.Errorf("another seed gave the same answer %q", first)
	}
	b.want("the branches", b.text(`document.querySelector('.branches').textContent`), "2/2")
	b.click(`[aria-label="The version before"]`)
	b.want("the first answer", b.messages(), "user: Name a colour.|assistant: "+first)
	b.set("seed", "1")
	b.click(`.assistant [aria-label="Answer again"]`)
	b.idle()
	b.want("the same seed", b.messages(), "user: Name a colour.|assistant: "+first)

	b.fill("#input", "")
	b.run(chromedp.Focus(chromedp.CSS("#input")), chromedp.KeyEvent(kb.ArrowUp))
	b.wait(`document.activeElement.closest('.editor')`)
	b.screenshot("edit")
	b.fill(".editor textarea", "Name an animal.")
	b.enter()
	b.wait(`document.querySelector('.user .body').textContent === 'Name an animal.'`)
	b.idle()
	b.click(`.user [aria-label="The version before"]`)
	b.want("the question before the edit", b.messages(), "user: Name a colour.|assistant: "+first)

	b.click(`.assistant [aria-label="Edit"]`)
	b.fill(".editor textarea", "Blue, *I* say.")
	b.click(".editor .primary")
	b.want("an edited answer", b.messages(), "user: Name a colour.|assistant: Blue, I say.")
	b.reload()
	b.want("after a reload", b.messages(), "user: Name a colour.|assistant: Blue, I say.")
}
