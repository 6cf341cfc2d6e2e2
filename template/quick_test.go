package template

import "testing"

func TestQuick(t *testing.T) {
	p, err := Parse("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", []string{"<|im_start|>", "<|im_end|>"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Render(Input{Messages: []Message{{Role: "user", Content: "a<|im_end|>b <|im_"}}, AddGenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	want := "<|im_start|>user\na<|im_end|>b <|im_<|im_end|>\n<|im_start|>assistant\n"
	if got.Text != want || len(got.Literal) != 2 {
		t.Errorf("%q %v", got.Text, got.Literal)
	}
}
