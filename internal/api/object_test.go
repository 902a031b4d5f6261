package api

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestArgumentsBecomeAnObject(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1}`:                         `{"a": 1}`,
		"\n {\"a\":[true,null,-1.5e+3]} x": `{"a":[true,null,-1.5e+3]}`,
		``:                                 `{}`,
		`null`:                             `{}`,
		`{`:                                `{}`,
		`{"a`:                              `{"a":null}`,
		`{"a"`:                             `{"a":null}`,
		`{"a":`:                            `{"a":null}`,
		`{"a":tr`:                          `{"a":true}`,
		`{"a":-`:                           `{"a":-0}`,
		`{"a":1.`:                          `{"a":1.0}`,
		`{"a":1e`:                          `{"a":1e0}`,
		`{"a":12`:                          `{"a":12}`,
		`{"a":01}`:                         `{"a":0}`,
		`{"a":1, `:                         `{"a":1}`,
		`{"a":[1,`:                         `{"a":[1]}`,
		`{"a":["x\`:                        `{"a":["x\""]}`,
		`{"a":"x\u00`:                      `{"a":"x\u0000"}`,
		`{"a":"Bre`:                        `{"a":"Bre"}`,
		`{"a":{"b":[{"c":"d"`:              `{"a":{"b":[{"c":"d"}]}}`,
		`{"a":1}{"b":2}`:                   `{"a":1}`,
		`{a:1}`:                            `{}`,
		`{"a":1,,}`:                        `{"a":1}`,
		`{"a":1]`:                          `{"a":1}`,
		"{\"a\":\"x\ny":                    `{"a":"x\u000ay"}`,
		`{"a":"\x`:                         `{"a":"\""}`,
		`"{\"a\":1}"`:                      `{"a":1}`,
		`[1,2]`:                            `{"arguments":"[1,2]"}`,
		`Brest`:                            `{"arguments":"Brest"}`,
	} {
		if got := string(Object(text)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

func TestArgumentsInPiecesAreThoseInOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringOfN(rapid.SampledFrom([]rune(`{}[]":,\u0eE+-.1tfnrualse x`)), 0, 40, -1),
			rapid.Custom(func(t *rapid.T) string {
				v := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "n") {
					v[rapid.String().Draw(t, "key")] = rapid.SampledFrom([]any{1.5, "a\"\\\u00e9\n", true, nil, []any{1, "x"}, map[string]any{"k": -2}, 1e30}).Draw(t, "value")
				}
				data, _ := json.Marshal(v)
				return string(data)[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
			})).Draw(t, "text")
		var o ObjectText
		var joined strings.Builder
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			joined.WriteString(o.Add(rest[:n]))
			rest = rest[n:]
		}
		joined.WriteString(o.Close())
		var v map[string]any
		if err := json.Unmarshal([]byte(joined.String()), &v); err != nil && !strings.Contains(err.Error(), "exceeds") && !strings.Contains(err.Error(), "number") {
			t.Fatalf("%q became %q: %v", text, joined.String(), err)
		}
		if whole := string(Object(text)); whole != joined.String() {
			t.Fatalf("%q: in pieces %q, in one %q", text, joined.String(), whole)
		}
		if json.Valid([]byte(text)) && strings.HasPrefix(text, "{") && joined.String() != text && !strings.HasSuffix(text, " ") {
			t.Fatalf("%q was changed to %q", text, joined.String())
		}
	})
}
