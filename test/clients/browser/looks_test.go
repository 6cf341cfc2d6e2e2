package browser

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// sample is a conversation that shows what messages can hold.
const sample = `{"format":"ortserve.conversations","version":1,"conversations":[{"title":"Markdown","leaf":"b","nodes":{
"a":{"id":"a","parent":null,"role":"user","time":1,"content":"Show me what you can write,\nwith <b>markup</b> & code."},
"b":{"id":"b","parent":"a","role":"assistant","time":2,"model":"smollm2:135m","finish":"stop","usage":{"prompt":30,"cached":12,"completion":210},"timing":{"first":90,"decode":1500},
"content":"## Sorting\n\nA *stable* sort keeps **equal** items in their order. See [RE2](https://example.com/re2 \"x\") or ` + "`slices.SortStableFunc`" + `.\n\n` + "```go" + `\nfunc sorted(words []string) []string {\n\tout := slices.Clone(words) // the caller's stay\n\tslices.Sort(out)\n\treturn out\n}\n` + "```" + `\n\n1. first\n2. second\n   - a part\n\n> Premature optimisation is the root of all evil.\n\n| n | time |\n|---|---:|\n| 10 | 1 ms |\n| 1000 | 140 ms |\n\n<script>alert(1)</script> <img src=https://example.com/i.png onerror=alert(2)>\n\n![a picture](https://example.com/p.png) [bad](javascript:alert(3))\n\n- [x] done\n- [ ] open\n\n~~struck~~ https://example.com"}
}}]}`

// TestLooks: light and dark, wide and as narrow as a telephone. What a model writes is shown and never run, and loads nothing.
func TestLooks(t *testing.T) {
	b := newTab(t, start(t).URL, "/", 1280, 900)
	eval[int](b, fmt.Sprintf(`(() => {
		const files = new DataTransfer();
		files.items.add(new File([%q], 'x.json'));
		const input = document.getElementById('import');
		input.files = files.files;
		input.dispatchEvent(new Event('change'));
		return 0;
	})()`, sample))
	b.wait(`document.querySelector('.hljs-keyword')`)
	if bad := eval[int](b, `document.querySelectorAll('#messages :is(script, img, b, [onerror], a[href^="javascript"])').length`); bad != 0 {
		t.Errorf("%d elements of a message should not be there: %s", bad, b.text(`document.querySelector('#messages').innerHTML`))
	}
	if text := b.text(`document.querySelector('.assistant .body').textContent`); !strings.Contains(text, "<script>alert(1)</script>") || !strings.Contains(text, "<img src=") {
		t.Errorf("markup is not shown as it was written: %q", text)
	}
	b.click(`[aria-label="Copy code"]`)
	b.look("markdown-light")
	b.dark(true)
	b.look("markdown-dark")
	b.want("the page's colour", b.text(`getComputedStyle(document.body).backgroundColor`), "rgb(25, 25, 24)")
	b.pick("#theme", "light")
	b.want("the colour that was chosen", b.text(`getComputedStyle(document.body).backgroundColor`), "rgb(255, 255, 255)")
	b.reload()
	b.want("after a reload", b.text(`getComputedStyle(document.body).backgroundColor`), "rgb(255, 255, 255)")
	b.pick("#theme", "system")

	for _, dark := range []bool{false, true} {
		name := "phone-light"
		if dark {
			name = "phone-dark"
		}
		b.dark(dark)
		b.size(375, 740)
		b.reload()
		if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 375 {
			t.Errorf("a page of 375 pixels is %d wide", wide)
		}
		b.look(name)
		b.click(`main [data-toggle="sidebar"]`)
		b.look(name + "-list")
		b.click(`#sidebar [data-toggle="sidebar"]`)
		b.panel()
		b.look(name + "-panel")
		if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 375 {
			t.Errorf("with the panel a page of 375 pixels is %d wide", wide)
		}
	}
}

// TestServerGone: what fails is told where it happened, and a second try works.
func TestServerGone(t *testing.T) {
	s := start(t)
	b := newTab(t, s.URL, "/", 1280, 800)
	b.expectRefusals()
	b.set("max_tokens", "16")
	b.fill("#input", strings.Repeat("word ", 400))
	b.put("#input", strings.Repeat("word ", 4000))
	b.enter()
	b.wait(`document.querySelector('.error p')?.textContent.includes('2048')`)
	b.click(`.user [aria-label="Edit"]`)
	b.fill(".editor textarea", "Hello.")
	b.enter()
	b.wait(`document.querySelector('.user .body').textContent === 'Hello.'`)
	b.idle()
	if code := s.Stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.send("Anybody there?")
	b.wait(`document.querySelector('.error p')?.textContent === 'The server cannot be reached.'`)
	b.wait(`!document.getElementById('banner').hidden`)
	b.look("gone")
}

// TestDashboard: the numbers of /metrics, as they change.
func TestDashboard(t *testing.T) {
	s := start(t)
	b := newTab(t, s.URL, "/dashboard", 1280, 900)
	b.wait(`document.querySelectorAll('#slots li').length === 2`)
	b.look("dashboard-idle")
	for range 3 {
		postJSON(t, s.URL+"/v1/chat/completions", `{"max_tokens":48,"messages":[{"role":"user","content":"Tell me a story."}]}`)
	}
	b.wait(`document.querySelector('#requests .value').textContent === '3'`)
	b.wait(`document.querySelectorAll('#first .column').length > 0 && document.querySelectorAll('#between .column').length > 0 && document.querySelectorAll('#whole .column').length > 0`)
	b.wait(`document.querySelector('#slots .number').textContent.endsWith(' kept')`)
	b.wait(`parseInt(document.querySelector('#prefix .value').textContent) > 0`)
	stop := streamJSON(t, s.URL+"/v1/chat/completions", `{"stream":true,"ignore_eos":true,"messages":[{"role":"user","content":"Tell me a story."}]}`)
	b.wait(`document.querySelector('#running .value').textContent === '1' && Number(document.querySelector('#output .value').textContent) > 0`)
	b.wait(`document.querySelector('#slots .number').textContent.endsWith(' in use')`)
	b.look("dashboard-busy")
	stop()
	b.wait(`document.querySelector('#running .value').textContent === '0'`)
	b.dark(true)
	b.size(375, 740)
	b.look("dashboard-phone")
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 375 {
		t.Errorf("a page of 375 pixels is %d wide", wide)
	}
}
