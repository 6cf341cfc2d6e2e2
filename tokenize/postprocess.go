package tokenize

import (
	"errors"
	"fmt"
)

// templatePart is the text, or ids that the post-processor adds.
type templatePart struct {
	text bool
	ids  []int32
}

// buildTemplate reads what the post-processor adds to one text.
func buildTemplate(p *part) ([]templatePart, error) {
	out := []templatePart{{text: true}}
	if p == nil {
		return out, nil
	}
	switch p.Type {
	case "ByteLevel": // changes offsets only
	case "Sequence":
		for i := range p.Processors {
			inner, err := buildTemplate(&p.Processors[i])
			if err != nil {
				return nil, err
			}
			out = nest(inner, out)
		}
		if len(out) > maxTemplate {
			return nil, fmt.Errorf("a template of more than %d parts is not supported", maxTemplate)
		}
	case "BertProcessing", "RobertaProcessing":
		return []templatePart{{ids: []int32{p.Cls.id}}, {text: true}, {ids: []int32{p.Sep.id}}}, nil
	case "TemplateProcessing":
		return templateOf(p)
	default:
		return nil, unsupported(p)
	}
	return out, nil
}

const maxTemplate = 64

// nest puts what the processors so far make where the next one has its text.
func nest(outer, text []templatePart) []templatePart {
	var out []templatePart
	for _, p := range outer {
		if !p.text {
			out = append(out, p)
		} else if len(out) <= maxTemplate {
			out = append(out, text...)
		}
	}
	return out
}

func templateOf(p *part) ([]templatePart, error) {
	var out []templatePart
	if len(p.Single) > maxTemplate {
		return nil, fmt.Errorf("a template of more than %d parts is not supported", maxTemplate)
	}
	for _, item := range p.Single {
		switch {
		case item.Sequence != nil && item.Sequence.ID == "A":
			out = append(out, templatePart{text: true})
		case item.SpecialToken != nil:
			special, ok := p.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("special token %q is not defined", clip(item.SpecialToken.ID))
			}
			for _, id := range special.IDs {
				if id < 0 || id > maxID {
					return nil, fmt.Errorf("special token %q has id %d", clip(item.SpecialToken.ID), id)
				}
			}
			out = append(out, templatePart{ids: special.IDs})
		default:
			return nil, errors.New("an item of the template is neither sequence A nor a special token")
		}
	}
	return out, nil
}
