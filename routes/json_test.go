package routes

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ortserve/template"
)

func TestParseJSONRefuses(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, err := parseJSON([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseJSON(%.60q): error %v, want one with %q", body, err, want)
		}
	}
	f(`{"a":1,"a":2}`, `"a" stands twice`)
	f(`{"a":{"b":1,"c":2,"b":3}}`, `"b" stands twice`)
	f(`{"a":1,"\u0061":2}`, `"a" stands twice`) // the same name, spelled otherwise
	f(`{"a":1} {"a":2}`, "after top-level value")
	f(`{"a":1}x`, "after top-level value")
	f(`{"a":01}`, "at byte 7")
	f(`{"a":NaN}`, "invalid character")
	f(`{'a':1}`, "invalid character")
	f(`{"a":1,}`, "invalid character")
	f(`[1`, "unexpected end")
	f("{\"a\":\"\xff\"}", "not valid UTF-8")
	f("\xff\xfe{\x00}\x00", "UTF-16")
	f("\xef\xbb\xbf{}", "invalid character") // a UTF-8 byte order mark: RFC 8259, section 8.1
	f(`"\ud800"`, `lone surrogate \ud800`)
	f(`"\udc00\ud800"`, `lone surrogate \udc00`)
	f(`"a\\\ud83dx\ude00"`, `lone surrogate \ud83d`)
	f(`{"\ud800":1}`, "lone surrogate")
	f(strings.Repeat("[", maxDepth+1)+strings.Repeat("]", maxDepth+1), "nested more than 128 deep")
	f(strings.Repeat(`{"a":`, maxDepth+1)+"1"+strings.Repeat("}", maxDepth+1), "nested more than 128 deep")
	f(strings.Repeat("[", 10_001), "JSON")
	f(strings.Repeat("[", 1_000_000), "JSON")
	f("["+strings.Repeat("0,", maxValues)+"0]", "more than 1048576 values")
	var b strings.Builder
	for i := range maxMembers + 1 {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	f("{"+b.String()[1:]+"}", "more than 65536 names")
}

func TestParseJSON(t *testing.T) {
	f := func(body string, want any) {
		t.Helper()
		v, err := parseJSON([]byte(body))
		if err != nil {
			t.Errorf("parseJSON(%.60q): %v", body, err)
			return
		}
		if got := v.plain(); !reflect.DeepEqual(want, got) { // cmp's time doubles with each level
			t.Errorf("parseJSON(%.60q) = %#v, want %#v", body, got, want)
		}
	}
	f(" { \"b\" : [ 1 , -2.5e1 , true , false , null ] , \"a\" : \"x\" }\r\n\t", template.Object{
		{Name: "b", Value: []any{int64(1), -25.0, true, false, nil}},
		{Name: "a", Value: "x"},
	})
	f(`"\ud83d\ude00 \u00e9\n\"\\ \u0000"`, "😀 é\n\"\\ \x00")
	f(`"\\ud800"`, `\ud800`) // a backslash and four digits, no escape
	f(`[[],{}]`, []any{[]any{}, template.Object{}})
	f(`{"":1}`, template.Object{{Name: "", Value: int64(1)}})
	f(`12345678901234567890`, 12345678901234567890.0)
	f(strings.Repeat("[", maxDepth-1)+"1"+strings.Repeat("]", maxDepth-1), func() any {
		var v any = int64(1)
		for range maxDepth - 1 {
			v = []any{v}
		}
		return v
	}())
}

// FuzzParseJSON holds parseJSON against encoding/json: it accepts nothing that is not JSON, and reads the same.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\n\u00e9",null,true]}`, `"\ud83d\ude00"`, `[{}]`, ` 1e3 `, `{"a":{"a":{"a":"\\"}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		var want any
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("accepted %q, which encoding/json refuses: %v", data, err)
		}
		if got := asDecoded(v); !reflect.DeepEqual(want, got) {
			t.Fatalf("%q is read as %#v, encoding/json reads %#v", data, got, want)
		}
	})
}

// asDecoded returns v as encoding/json decodes into any.
func asDecoded(v value) any {
	switch v.kind {
	case kindNumber:
		return json.Number(v.text)
	case kindList:
		list := []any{}
		for _, of := range v.list {
			list = append(list, asDecoded(of))
		}
		return list
	case kindObject:
		object := map[string]any{}
		for _, m := range v.members {
			object[m.name] = asDecoded(m.value)
		}
		return object
	default:
		return v.plain()
	}
}

func TestQuote(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
	f("a\x1b[31m\n", `"a\x1b[31m\n"`)
	f(strings.Repeat("x", 64), `"`+strings.Repeat("x", 64)+`"`)
	f(strings.Repeat("x", 63)+"é", `"`+strings.Repeat("x", 63)+`"…`) // never half a rune
}
