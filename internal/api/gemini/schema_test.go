package gemini

import (
	"strings"
	"testing"
)

func TestPropertiesKeepTheOrderThatWasAskedFor(t *testing.T) {
	for _, test := range []struct{ google, want string }{
		{`{"properties":{"z":{"type":"STRING"},"a":{"type":"INTEGER"}},"type":"OBJECT"}`,
			`{"properties":{"z":{"type":"string"},"a":{"type":"integer"}},"type":"object"}`},
		{`{"type":"OBJECT","property_ordering":["b","a"],"properties":{"z":{},"a":{},"b":{}}}`,
			`{"type":"object","properties":{"b":{},"a":{},"z":{}}}`},
		{`{"type":"STRING","enum":[],"nullable":true}`, `{"type":["string","null"],"enum":[null]}`},
		{`{"type":"OBJECT","properties":{"max_items":{"type":"ARRAY","max_items":"3","items":{"ref":"#/defs/x"}}}}`,
			`{"type":"object","properties":{"max_items":{"type":"array","maxItems":3,"items":{"$ref":"#/$defs/x"}}}}`},
	} {
		got, err := openAPI("s", []byte(test.google))
		if err != nil || string(got) != test.want {
			t.Errorf("%s:\n%s %v, want\n%s", test.google, got, err, test.want)
		}
	}
}

func TestNamesAreReadInBothSpellings(t *testing.T) {
	for snake, want := range map[string]string{"max_output_tokens": "maxOutputTokens", "topK": "topK", "_response_json_schema": "_responseJsonSchema",
		"mime_type": "mimeType", "a_": "a_", "a__b": "a_B", "_": "_", "a_1": "a_1"} {
		if got := camelName(snake); got != want {
			t.Errorf("%s: %s, want %s", snake, got, want)
		}
	}
}

func TestHostileBodiesAreReadSoon(t *testing.T) {
	deep := []byte(`{"contents":` + strings.Repeat("[", 120) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("]", 120) + `}`)
	if got, err := camel("", deep, 0); err != nil || len(got) < 1<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := openAPI("s", []byte(`{"description":"`+strings.Repeat("x", maxSchema)+`"}`)); err == nil {
		t.Error("a schema of any size is read")
	}
}
