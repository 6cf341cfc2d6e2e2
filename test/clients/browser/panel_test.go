package browser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// panel opens the panel and the parts of it that are closed.
func (b *tab) panel() {
	b.t.Helper()
	if b.text(`document.body.dataset.panel`) != "open" {
		b.click(`main [data-toggle="panel"]`)
	}
	eval[int](b, `document.querySelectorAll('#panel details').forEach((d) => { d.open = true; }), 0`)
}

// TestForms: an answer has the form that the panel says; what is no JSON is told beside the field, and nothing is sent.
func TestForms(t *testing.T) {
	b := newTab(t, start(t).URL, "/", 1280, 900)
	b.panel()
	b.look("panel")
	for _, part := range []struct{ name, want string }{{"temperature", "0"}, {"top_k", "40"}, {"top_p", "0.95"}, {"min_p", "0.05"}, {"max_tokens", "window"}} {
		b.want("the server's default of "+part.name, b.text(fmt.Sprintf(`document.getElementById('sampling-%s').placeholder`, part.name)), part.want)
	}
	b.set("max_tokens", "60")
	b.pick("#form-kind", "schema")
	b.put("#form-text", `{"type": "object"`)
	if got := b.text(`document.getElementById('form-error').textContent`); !strings.HasPrefix(got, "The schema is no JSON: ") {
		t.Errorf("beside the schema: %q", got)
	}
	b.fill("#input", "Where is Bern?")
	b.enter()
	b.want("the field keeps what cannot be sent", b.text(`document.getElementById('input').value`), "Where is Bern?")
	b.put("#form-text", `{"type":"object","properties":{"city":{"type":"string","maxLength":20},"country":{"enum":["Switzerland","Chile"]}},"required":["city","country"]}`)
	var place struct{ City, Country string }
	if got := b.say("Where is Bern?"); json.Unmarshal([]byte(got), &place) != nil || place.City == "" || !slices.Contains([]string{"Switzerland", "Chile"}, place.Country) {
		t.Errorf("by the schema: %q", got)
	}
	b.look("form")
	b.pick("#form-kind", "choice")
	b.put("#form-text", "north\nsouth\n")
	if got := b.say("Which way?"); got != "north" && got != "south" {
		t.Errorf("one of two lines: %q", got)
	}
	b.pick("#form-kind", "regex")
	b.put("#form-text", "[0-9]{3}-[0-9]{3}")
	if got := b.say("A number?"); len(got) != 7 || got[3] != '-' {
		t.Errorf("by an expression: %q", got)
	}
	b.put("#form-text", "(")
	b.expectRefusals()
	b.send("Another?")
	b.wait(`document.querySelector('.error p')?.textContent.includes('guided_regex')`)
	b.look("error")
}

// TestTools: a call is shown with its arguments, and the answer goes on with the result that the reader writes.
func TestTools(t *testing.T) {
	b := newTab(t, start(t).URL, "/", 1280, 900)
	b.panel()
	b.put("#tools", `{}`)
	b.want("beside the tools", b.text(`document.getElementById('tools-error').textContent`), `The tools must be a list: [{"type": "function", …}]`)
	b.put("#tools", `[{"name":"weather","parameters":{"type":"object","properties":{"place":{"enum":["Bern","Lima"]}},"required":["place"]}}]`)
	b.pick("#tool-choice", "required")
	b.set("max_tokens", "60")
	b.send("What is the weather in Bern?")
	b.idle()
	var arguments struct{ Place string }
	if got := b.text(`document.querySelector('.call pre').textContent`); json.Unmarshal([]byte(got), &arguments) != nil || arguments.Place == "" {
		t.Errorf("the arguments: %q", got)
	}
	b.want("the call", b.text(`document.querySelector('.call-head').textContent`), "weather")
	b.pick("#tool-choice", "none")
	b.click(`#panel [data-toggle="panel"]`)
	for range eval[int](b, `document.querySelectorAll('.result').length`) { // the model may call more than once
		b.fill(".result textarea", "Sunny, 21 degrees.")
		b.click(".result button")
	}
	b.wait(`document.querySelectorAll('.assistant').length === 2`)
	b.idle()
	if got := b.messages(); !strings.Contains(got, "|tool: Sunny, 21 degrees.|assistant: ") {
		t.Errorf("%q", got)
	}
	b.look("tools")
}

// TestTokens: each token of an answer shows what else was probable there, to the mouse and to the keys.
func TestTokens(t *testing.T) {
	b := newTab(t, start(t).URL, "/", 1280, 900)
	b.set("max_tokens", "40")
	b.set("temperature", "0")
	b.click("#alternatives")
	b.click(`#panel [data-toggle="panel"]`)
	answer := b.say("What is the capital of France?")
	b.click(`[aria-label="Token alternatives"]`)
	if got := b.text(`[...document.querySelectorAll('.token')].map((e) => e.textContent).join('')`); got != answer {
		t.Errorf("the tokens are %q, the answer is %q", got, answer)
	}
	b.click(".token")
	b.run(chromedp.KeyEvent(kb.ArrowRight))
	b.want("the chosen token", b.text(`document.activeElement === document.querySelectorAll('.token')[1] && document.activeElement.getAttribute('aria-pressed')`), "true")
	// Greedy: what was taken is the first of the five that the server tells, and their shares are at most the whole.
	if rows := b.text(`[...document.querySelectorAll('.alternatives tr')].map((r) => r.className + r.querySelector('meter').value).join()`); !strings.HasPrefix(rows, "chosen") || strings.Count(rows, ",") != 4 {
		t.Errorf("the alternatives: %s", rows)
	}
	if sum := eval[float64](b, `[...document.querySelectorAll('.alternatives meter')].reduce((sum, m) => sum + m.value, 0)`); sum <= 0.2 || sum > 1.0001 {
		t.Errorf("the alternatives' probabilities add up to %v", sum)
	}
	b.look("tokens")
	b.click(`[aria-label="Token alternatives"]`)
	b.want("the text again", b.messages(), "user: What is the capital of France?|assistant: "+answer)
}

// TestKey: a server that wants a key is asked with one, and the browser keeps it.
func TestKey(t *testing.T) {
	t.Setenv("ORTSERVE_API_KEY", "sesame")
	s := start(t)
	b := newTab(t, s.URL, "/", 1280, 800, (*tab).expectRefusals)
	b.wait(`document.activeElement.id === 'key'`)
	b.want("beside the key", b.text(`document.getElementById('key-error').textContent`), "This server wants a key.")
	b.look("key")
	b.fill("#key", "wrong")
	b.enter()
	b.wait(`document.getElementById('key-error').textContent === 'The server does not know this key.'`)
	b.fill("#key", "sesame")
	b.enter()
	b.wait(`document.getElementById('model-state-text').textContent === 'loaded' && document.getElementById('key-error').textContent === ''`)
	b.set("max_tokens", "8")
	if got := b.say("Hello."); got == "" {
		t.Error("no answer with the key")
	}
	b.reload()
	b.wait(`document.getElementById('model-state-text').textContent === 'loaded'`)
	b.open("/dashboard")
	b.wait(`document.querySelector('#requests .value').textContent === '1'`)
	if log := s.Log(); strings.Contains(log, "sesame") || strings.Contains(log, "Hello") {
		t.Errorf("the log tells the key or the message:\n%s", log)
	}
}
