package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseJSON reads one JSON value and keeps the order of members, as templates need it: objects become Object (of two
// members of one name the last counts, at the place of the first, as in Python), arrays []any, numbers int64 or float64.
func ParseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("JSON: %w", err)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(d)
		}
		list := []any{}
		for d.More() {
			v, err := decodeValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, closing(d)
	case json.Number:
		return number(t), nil
	default:
		return token, nil // nil, bool, string
	}
}

func decodeObject(d *json.Decoder) (any, error) {
	o := Object{}
	at := map[string]int{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("JSON: %w", err)
		}
		v, err := decodeValue(d)
		if err != nil {
			return nil, err
		}
		key, _ := name.(string) // the decoder has made sure
		if i, ok := at[key]; ok {
			o[i].Value = v
			continue
		}
		at[key] = len(o)
		o = append(o, Member{Name: key, Value: v})
	}
	return o, closing(d)
}

// closing reads the delimiter that ends an array or object.
func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}

// number reads n as Python does: an integer unless it has a fraction or an exponent.
func number(n json.Number) any {
	if strings.ContainsAny(n.String(), ".eE") {
		f, _ := strconv.ParseFloat(n.String(), 64) // out of range is infinity there too
		return f
	}
	i, err := n.Int64()
	if err != nil {
		return n
	}
	return i
}
