package custom

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/grammar"
)

// inOrder joins the pieces that come of pieces, and refuses those that end within a character.
func inOrder(t *testing.T, pieces ...string) string {
	t.Helper()
	var u Unwrapper
	var out strings.Builder
	for _, p := range pieces {
		got := u.Next(p)
		if !utf8.ValidString(got) {
			t.Fatalf("%q gives %q, which is not whole characters", pieces, got)
		}
		out.WriteString(got)
	}
	return out.String()
}

// checkCuts feeds arguments whole, byte by byte, and in two and three pieces, cut everywhere.
func checkCuts(t *testing.T, arguments, want string) {
	t.Helper()
	if got := Input(arguments); got != want {
		t.Fatalf("%q gives %q, want %q", arguments, got, want)
	}
	if got := inOrder(t, strings.Split(arguments, "")...); got != want { // by characters
		t.Fatalf("%q in characters gives %q, want %q", arguments, got, want)
	}
	for i := range len(arguments) + 1 {
		for j := i; j <= len(arguments); j++ {
			if got := inOrder(t, arguments[:i], arguments[i:j], arguments[j:]); got != want {
				t.Fatalf("%q, %q, %q give %q, want %q", arguments[:i], arguments[i:j], arguments[j:], got, want)
			}
		}
	}
	bytewise := make([]string, len(arguments))
	for i := range len(arguments) {
		bytewise[i] = arguments[i : i+1]
	}
	if got := inOrder(t, bytewise...); got != want {
		t.Fatalf("%q in bytes gives %q, want %q", arguments, got, want)
	}
}

func TestTextIsUnwrappedHoweverItIsCut(t *testing.T) {
	f := func(arguments, want string) { t.Helper(); checkCuts(t, arguments, want) }
	f(`{"input":""}`, "")
	f(`{"input": "ls -l"}`, "ls -l")
	f(" {\n \"input\"\t:\r\"a\" } ", "a")
	f(`{"input":"\"\\\/\b\f\n\r\t"}`, "\"\\/\b\f\n\r\t")
	f(`{"input":"\u00e9\ud83c\udf0aé🌊\u0000"}`, "é🌊é🌊\x00")
	f(`{"input":"\ud83c"}`, "\uFFFD")
	f(`{"input":"\ud83cx\udf0a"}`, "\uFFFDx\uFFFD")
	f(`{"input":"\ud83c\ud83c\udf0a"}`, "\uFFFD🌊")
	f(`{"input":"\ud83c\n"}`, "\uFFFD\n")
	f("{\"input\":\"a\xffb\xf0\x9f\"}", "a\uFFFDb\uFFFD\uFFFD")
	// Cut off by a limit: what can be read.
	f(`{"inp`, "")
	f(`{"input":"abc`, "abc")
	f(`{"input":"abc\`, "abc")
	f(`{"input":"abc\u00`, "abc")
	f(`{"input":"abc\ud83c\u`, "abc")
	f("{\"input\":\"abc\xf0\x9f", "abc")
	// Of another form.
	f(`{"command":"ls"}`, `{"command":"ls"}`)
	f(`{"input":7}`, `{"input":7}`)
	f(`{}`, `{}`)
	f(`ls é`, `ls é`)
	f(`{"input":"\q\uzz"}`, `\q\uzz`)
}

func TestArgumentsComeBack(t *testing.T) {
	for _, text := range []string{"", "a", "\"\\\n<&>", "é🌊\u2028\x00\x1f", `{"input":"x"}`} {
		arguments := Arguments(text)
		checkCuts(t, arguments, text)
		if strings.Contains(text, "<") && !strings.Contains(arguments, "<&>") {
			t.Errorf("%q has escapes that a model need not read", arguments)
		}
	}
}

// FuzzUnwrap holds what is unwrapped to what encoding/json reads, cut at any two places.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte(`{"input":"\ud83c\udf0a\u00e9\n"}`), uint(12), uint(18))
	f.Add([]byte(` { "input" : "\ud83c\ud83cx" } `), uint(3), uint(22))
	f.Add([]byte("{\"input\":\"\xff\xf0\x9f\x8c\x8a\"}"), uint(12), uint(13))
	f.Fuzz(func(t *testing.T, arguments []byte, i, j uint) {
		n := uint(len(arguments)) + 1
		i, j = min(i%n, j%n), max(i%n, j%n)
		got := inOrder(t, string(arguments[:i]), string(arguments[i:j]), string(arguments[j:]))
		if whole := Input(string(arguments)); got != whole {
			t.Fatalf("%q cut at %d and %d gives %q, whole %q", arguments, i, j, got, whole)
		}
		d := json.NewDecoder(bytes.NewReader(arguments))
		d.UseNumber()
		open, _ := d.Token()
		name, _ := d.Token()
		text, err := d.Token()
		want, ok := text.(string)
		if !json.Valid(arguments) || err != nil || !ok || open != json.Delim('{') || name != key || !bytes.Contains(arguments, []byte(`"input"`)) {
			return
		}
		if before, _, _ := bytes.Cut(arguments, []byte(`"input"`)); len(bytes.Trim(before, "{ \t\r\n")) > 0 {
			return // the name is spelt with escapes
		}
		if got != want {
			t.Fatalf("%q gives %q, encoding/json reads %q", arguments, got, want)
		}
	})
}

func TestARegexHoldsTheWholeInput(t *testing.T) {
	tool, err := Tool("tools[0]", "f", "", &Format{Type: "grammar", rule: rule{Syntax: "regex", Definition: `ab+|\d{2}`}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := grammar.CompileSchema(tool.Schema, grammar.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"ab": true, "abbb": true, "12": true, "": false, "xab": false, "abx": false, "123": false, "12ab": false} {
		if got := g.Match([]byte(Arguments(text))); got != want {
			t.Errorf("%q fits: %t, want %t", text, got, want)
		}
	}
	if !tool.Strict {
		t.Error("the tool is not strict, so its input would be held to nothing")
	}
	for _, f := range []*Format{nil, {Type: "text"}} {
		if tool, err := Tool("tools[0]", "f", "", f); err != nil || tool.Strict {
			t.Errorf("any text: strict %t, %v: models that cannot be held to strict tools would refuse it", tool.Strict, err)
		}
	}
}

func TestFormatsThatCannotBeEnforcedAreNamed(t *testing.T) {
	f := func(format Format, param, words string) {
		t.Helper()
		_, err := Tool("tools[0].custom", "f", "", &format)
		var e *fault.Error
		if !errors.As(err, &e) || e.Param != param || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want one at %s with %q", format, err, param, words)
		}
		if !errors.Is(err, chat.ErrRequest) && !errors.Is(err, chat.ErrUnsupported) {
			t.Errorf("%v is not the caller's", err)
		}
	}
	f(Format{Type: "json"}, "tools[0].custom.format.type", "text and grammar")
	f(Format{Type: "grammar"}, "tools[0].custom.format.syntax", "only regex")
	f(Format{Type: "grammar", Grammar: &rule{"lark", "start: /a/"}}, "tools[0].custom.format.grammar.syntax", `"lark"`)
	f(Format{Type: "grammar", Grammar: &rule{"regex", ""}}, "tools[0].custom.format.grammar.definition", "empty")
	f(Format{Type: "grammar", Grammar: &rule{"regex", "a)|(b"}}, "tools[0].custom.format.grammar.definition", "cannot be enforced")
	f(Format{Type: "grammar", rule: rule{"regex", `(a)\1`}}, "tools[0].custom.format.definition", "cannot be enforced")
}
