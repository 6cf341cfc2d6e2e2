package routes

import "ortserve/engine"

// promptProgress is how far a prompt is, as llama.cpp's server tells it where a request has return_progress: its README.
type promptProgress struct {
	Total     int   `json:"total"`
	Cache     int   `json:"cache"`
	Processed int   `json:"processed"`
	TimeMS    int64 `json:"time_ms"`
}

// progressOf returns how far the prompt is, nil where an event does not say.
func progressOf(ev engine.Event) *promptProgress {
	p := ev.Progress
	if p.Tokens == 0 {
		return nil
	}
	return &promptProgress{Total: p.Tokens, Cache: p.Cached, Processed: p.Computed, TimeMS: p.Took.Milliseconds()}
}
