package main

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"ortserve/internal/config"
	"ortserve/models"
	"ortserve/models/convert"
	"ortserve/onnx"
	"ortserve/template"
	"ortserve/tokenize"
)

// calibrationText is of many kinds: prose, speech, code, lists, numbers, other scripts. Parts are separated by lines of dashes. How large
// the numbers of a cache get depends little on what a text says; the first tokens of each part matter, which differ from all others.
//
//go:embed calibration.txt
var calibrationText string

// calibrate runs texts through the graph of the model in dir and returns how large the numbers of its cache get.
func calibrate(dir, library string) ([]convert.CacheSizes, error) {
	if _, err := onnx.Load(library); err != nil {
		return nil, err
	}
	m, t, c, err := readModel(dir)
	if err != nil {
		return nil, err
	}
	texts := t.EncodeBatch(calibrationTexts(m, t), tokenize.Options{Template: true})
	maxLen := 0
	for _, text := range texts {
		maxLen = max(maxLen, len(text))
	}
	threads, quota, _ := config.Threads()
	ranges, err := onnx.MeasureKV(m.Graph, c, onnx.Options{
		Threads: threads, Spin: !quota, MaxLen: longest(maxLen, longest(m.ContextLength, c.MaxLen())), Chunk: idleChunk,
	}, texts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
	}
	var sizes []convert.CacheSizes
	for _, r := range ranges {
		sizes = append(sizes, convert.CacheSizes{r.Key, r.Value})
	}
	return sizes, nil
}

// readModel reads what a model's directory says of it.
func readModel(dir string) (*models.Model, *tokenize.Tokenizer, *onnx.Contract, error) {
	m, err := models.Describe(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := tokenize.Load(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := onnx.Inspect(m.Graph, hints(m))
	return m, t, c, err
}

// calibrationTexts are the parts of the calibration text, and a chat of some of them as the model's template renders it: what comes first
// in a chat is a token of its own. A template that does not render it is left to those who chat.
func calibrationTexts(m *models.Model, t *tokenize.Tokenizer) []string {
	texts := strings.Split(calibrationText, "\n---\n")
	chat, err := template.Parse(m.ChatTemplate, t.ControlTokens(m.ChatTemplate))
	if m.ChatTemplate == "" || err != nil {
		return texts
	}
	var messages []template.Message
	for i, text := range texts[:4] {
		messages = append(messages, template.Message{Role: []string{"user", "assistant"}[i%2], Content: text})
	}
	p, err := chat.Render(template.Input{Messages: messages, BOS: m.BOSToken, EOS: m.EOSToken, Now: time.Now})
	if err != nil {
		return texts
	}
	return append(texts, p.Text)
}
