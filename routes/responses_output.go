package routes

import (
	"fmt"
	"strings"

	"ortserve/engine"
	"ortserve/template/thinking"
	"ortserve/template/toolcall"
)

// responseFrames writes a response. Its output is items one after the other: the last one is open until the next begins.
type responseFrames struct {
	spelling
	held     heldLogprobs
	dropped  int            // log-probabilities of thoughts, which are left out
	logprobs []tokenLogprob // of the last item
	response response
	id       string // of the request
	calls    *callReader
	next     int // sequence number
	begun    bool
	items    []outputItem    // those that have begun
	text     strings.Builder // of the last one: a message's text, or a call's arguments
	ended    engine.FinishReason
}

func (f *responseFrames) whole(answers []answer, u engine.Usage) any {
	thoughts, text, calls := f.calls.read(0, answers[0])
	if thoughts != "" {
		f.items = append(f.items, f.reasoning())
		f.fill(thoughts, f.thought(answers[0].finish))
	}
	f.logprobs = f.tokens(answers[0].logprobs[min(f.calls.thought(), len(answers[0].logprobs)):]) // the message's
	if text != "" || len(calls) == 0 {
		f.items = append(f.items, f.message())
		f.fill(text, answers[0].finish != engine.FinishLength || len(calls) > 0)
	}
	for i, c := range calls {
		f.items = append(f.items, f.call(i, c.name))
		f.fill(c.arguments, c.whole)
	}
	f.finish(answers[0].finish, u)
	return f.response
}

// message returns a message that begins.
func (f *responseFrames) message() outputItem {
	return outputItem{ID: f.itemID("msg_"), Type: "message", Status: "in_progress", Role: "assistant", Content: &[]outputText{}}
}

// reasoning returns thoughts that begin.
func (f *responseFrames) reasoning() outputItem {
	return outputItem{ID: f.itemID("rs_"), Type: "reasoning", Status: "in_progress", Summary: &[]struct{}{}, Content: &[]outputText{}}
}

// call returns a call that begins.
func (f *responseFrames) call(i int, name string) outputItem {
	return outputItem{ID: f.itemID("fc_"), Type: "function_call", Status: "in_progress", Arguments: new(string), CallID: f.calls.callID(0, i), Name: name}
}

// itemID is the id of the item that begins.
func (f *responseFrames) itemID(prefix string) string {
	if n := len(f.items); n > 0 {
		return fmt.Sprintf("%s%.28s%04d", prefix, f.id, n)
	}
	return prefix + f.id
}

// fill completes the last item.
func (f *responseFrames) fill(text string, whole bool) {
	item := &f.items[len(f.items)-1]
	item.Status = "completed"
	if !whole {
		item.Status = "incomplete"
	}
	switch item.Type {
	case "message":
		item.Content = &[]outputText{part(text, f.logprobs)}
	case "reasoning":
		item.Content = &[]outputText{{Type: "reasoning_text", Text: text}}
	default:
		item.Arguments = &text
	}
}

// thought says whether the thoughts are whole: the answer has not been cut inside them.
func (f *responseFrames) thought(reason engine.FinishReason) bool {
	return reason != engine.FinishLength || !f.calls.thinking(0)
}

// finish fills in what is known at the end.
func (f *responseFrames) finish(reason engine.FinishReason, u engine.Usage) {
	f.response.Status = "completed"
	if reason == engine.FinishLength {
		f.response.Status = "incomplete"
		f.response.IncompleteDetails = &incompleteDetails{"max_output_tokens"}
	}
	f.response.Output = f.items
	f.response.Usage = &responseUsage{
		InputTokens: u.PromptTokens, InputTokensDetails: promptTokenDetails{u.CachedTokens},
		OutputTokens: u.CompletionTokens, OutputTokensDetails: reasoningTokens{f.calls.thought()}, TotalTokens: u.PromptTokens + u.CompletionTokens,
	}
}

// part is a message's only part.
func part(text string, logprobs []tokenLogprob) outputText {
	if logprobs == nil {
		logprobs = []tokenLogprob{}
	}
	return outputText{Type: "output_text", Annotations: &[]struct{}{}, Logprobs: &logprobs, Text: text}
}

// send writes an event under the next sequence number.
func (f *responseFrames) send(w *frameWriter, ev responseEvent) {
	ev.SequenceNumber = f.next
	f.next++
	w.named(ev.Type, ev)
}

// inItem writes an event of the last item.
func (f *responseFrames) inItem(w *frameWriter, ev responseEvent) {
	at := len(f.items) - 1
	ev.ItemID, ev.OutputIndex = f.items[at].ID, &at
	if f.items[at].Content != nil {
		ev.ContentIndex = new(int)
	}
	f.send(w, ev)
}

// open begins an item, and ends the one before.
func (f *responseFrames) open(w *frameWriter, item outputItem) {
	f.shut(w, true)
	f.items = append(f.items, item)
	f.text.Reset()
	f.logprobs = nil
	at := len(f.items) - 1
	f.send(w, responseEvent{Type: "response.output_item.added", OutputIndex: &at, Item: &item})
	switch item.Type {
	case "message":
		empty := part("", nil)
		f.inItem(w, responseEvent{Type: "response.content_part.added", Part: &empty})
	case "reasoning":
		f.inItem(w, responseEvent{Type: "response.content_part.added", Part: &outputText{Type: "reasoning_text"}})
	}
}

// shut ends the last item.
func (f *responseFrames) shut(w *frameWriter, whole bool) {
	if len(f.items) == 0 || f.items[len(f.items)-1].Status != "in_progress" {
		return
	}
	if f.items[len(f.items)-1].Type != "reasoning" { // after which the message's are held
		f.logprobs = append(f.logprobs, f.tokens(f.held.take(0))...)
	}
	at, text := len(f.items)-1, f.text.String()
	f.fill(text, whole)
	item := &f.items[at]
	switch item.Type {
	case "message":
		p := part(text, f.logprobs)
		f.inItem(w, responseEvent{Type: "response.output_text.done", Text: &text, Logprobs: p.Logprobs})
		f.inItem(w, responseEvent{Type: "response.content_part.done", Part: &p})
	case "reasoning":
		f.inItem(w, responseEvent{Type: "response.reasoning_text.done", Text: &text})
		f.inItem(w, responseEvent{Type: "response.content_part.done", Part: &outputText{Type: "reasoning_text", Text: text}})
	default:
		f.inItem(w, responseEvent{Type: "response.function_call_arguments.done", Name: item.Name, Arguments: &text})
	}
	f.send(w, responseEvent{Type: "response.output_item.done", OutputIndex: &at, Item: item})
}

// add continues the last item.
func (f *responseFrames) add(w *frameWriter, text string, ev responseEvent) {
	f.text.WriteString(text)
	ev.Delta = text
	f.inItem(w, ev)
}

func (f *responseFrames) event(w *frameWriter, _ int, ev engine.Event) {
	if !f.begun {
		f.begun = true
		head := f.response
		f.send(w, responseEvent{Type: "response.created", Response: &head})
		f.send(w, responseEvent{Type: "response.in_progress", Response: &head})
		if len(f.calls.names) == 0 && f.calls.place == thinking.Answer { // it will be a message
			f.open(w, f.message())
		}
	}
	f.held.add(0, ev.Logprobs)
	pieces := f.calls.pieces(0, ev)
	f.dropped += f.held.drop(0, f.calls.thought()-f.dropped)
	for _, p := range pieces {
		switch p.Kind {
		case toolcall.Thought:
			if len(f.items) == 0 {
				f.open(w, f.reasoning())
			}
			f.add(w, p.Text, responseEvent{Type: "response.reasoning_text.delta"})
		case toolcall.Text:
			if n := len(f.items); n == 0 || f.items[n-1].Type != "message" {
				f.open(w, f.message())
			}
			l := f.tokens(f.held.take(0))
			f.logprobs = append(f.logprobs, l...)
			f.add(w, p.Text, responseEvent{Type: "response.output_text.delta", Logprobs: &l})
		case toolcall.Begin:
			f.open(w, f.call(p.Call, p.Text))
		case toolcall.Arguments:
			f.add(w, p.Text, responseEvent{Type: "response.function_call_arguments.delta"})
		case toolcall.End:
			f.shut(w, true)
		}
	}
	f.ended = ev.Finish
}

func (f *responseFrames) end(w *frameWriter, u engine.Usage) {
	if n := len(f.items); n == 0 || f.items[n-1].Type == "reasoning" {
		f.shut(w, f.thought(f.ended))
		f.open(w, f.message())
	}
	f.shut(w, f.ended != engine.FinishLength)
	f.finish(f.ended, u)
	f.send(w, responseEvent{Type: "response." + f.response.Status, Response: &f.response})
}

func (f *responseFrames) fail(w *frameWriter, err *apiError) {
	body := err.openaiBody().Error
	w.named("error", responseFailure{"error", f.next, body.Code, body.Message, body.Param})
	f.next++
	f.response.Status, f.response.Error = "failed", &responseError{Code: "server_error", Message: err.message}
	f.send(w, responseEvent{Type: "response.failed", Response: &f.response})
}
