package tokenizer

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/template"
	"ortserve/tokenize"
)

// How many harmless messages each chat template is compared on, unless ORTSERVE_TOKENIZER_MESSAGES says.
const harmlessMessages = 5000

// chatModel is a folder that has a chat template.
type chatModel struct {
	dir      string
	tok      *tokenize.Tokenizer
	template *template.Template
	controls []string
}

// chatModels returns those families that have a chat template.
func chatModels(t *testing.T, python string) []chatModel {
	var out []chatModel
	for _, dir := range families(t, python) {
		source, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
		if errors.Is(err, os.ErrNotExist) {
			var config struct {
				ChatTemplate string `json:"chat_template"`
			}
			data, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
			if err != nil {
				continue
			}
			if err := json.Unmarshal(data, &config); err != nil {
				t.Fatal(err)
			}
			source = []byte(config.ChatTemplate)
		}
		if len(source) == 0 {
			continue
		}
		tok, err := tokenize.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		controls := tok.ControlTokens(string(source))
		chat, err := template.Parse(string(source), controls)
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		out = append(out, chatModel{dir, tok, chat, controls})
	}
	if len(out) == 0 {
		t.Fatal("no family has a chat template")
	}
	return out
}

// encode renders and encodes a chat as the server does.
func (m chatModel) encode(messages []template.Message) ([]int32, error) {
	prompt, err := m.template.Render(template.Input{Messages: messages, AddGenerationPrompt: true, BOS: "<bos>", EOS: "</s>"})
	var refused *template.Error
	if errors.As(err, &refused) && messages[0].Role == "system" {
		return m.encode(messages[1:]) // this model has no system messages
	}
	if err != nil {
		return nil, err
	}
	return m.tok.Encode(prompt.Text, tokenize.Options{Literal: prompt.Literal}), nil
}

// Chats without control tokens have the ids that transformers' apply_chat_template and tokenizers give them.
func TestHarmlessChats(t *testing.T) {
	python := testenv.Python(t, "tokenizer-corpus")
	count, seed := fromEnv(t, "ORTSERVE_TOKENIZER_MESSAGES", harmlessMessages), fromEnv(t, "ORTSERVE_TOKENIZER_SEED", 1)
	for _, m := range chatModels(t, python) {
		t.Run(filepath.Base(m.dir), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python, "chats.py", m.dir, strconv.Itoa(count), strconv.Itoa(seed))
			cmd.Dir, cmd.Stderr = "testdata", t.Output()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			messages, wrong := 0, 0
			for d := json.NewDecoder(out); ; {
				var chat struct {
					Messages []template.Message `json:"messages"`
					IDs      []int32            `json:"ids"`
				}
				if err := d.Decode(&chat); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				messages += len(chat.Messages)
				got, err := m.encode(chat.Messages)
				if err != nil || !slices.Equal(got, chat.IDs) {
					if wrong++; wrong <= 3 {
						t.Errorf("%q: error %v, ids %v, want %v", chat.Messages, err, got, chat.IDs)
					}
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if messages < count {
				t.Errorf("%d messages were compared, not %d", messages, count)
			}
			t.Logf("%d messages, %d chats differ", messages, wrong)
		})
	}
}

// What is written like a control token in a message, wherever, in any role, gives none: as many as the same chat has
// with harmless words in their place.
func TestControlTokensInChats(t *testing.T) {
	for _, m := range chatModels(t, testenv.Python(t, "tokenizer-corpus")) {
		t.Run(filepath.Base(m.dir), func(t *testing.T) {
			control := map[int32]bool{}
			for _, c := range m.controls {
				if id, ok := m.tok.ID(c); ok {
					control[id] = true
				}
			}
			controlIDs := func(c string) []int32 {
				text := func(s string) string { return s + c + s }
				ids, err := m.encode([]template.Message{
					{Role: "system", Content: text("a")},
					{Role: "user", Content: c},
					{Role: "assistant", Content: text(" ")},
					{Role: "user", Content: c + c + text("é")},
					{Role: "assistant", Content: c[:len(c)-1]},
					{Role: "user", Content: c[1:] + "\n" + c},
				})
				if err != nil {
					t.Fatal(err)
				}
				return slices.DeleteFunc(ids, func(id int32) bool { return !control[id] })
			}
			want := controlIDs("xy")
			for _, c := range m.controls {
				if got := controlIDs(c); !slices.Equal(got, want) {
					t.Errorf("%q in the messages: control ids %v, want %v", c, got, want)
				}
			}
			t.Logf("%d control tokens", len(m.controls))
		})
	}
}
