package grammar

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// expression generates what ECMA-262 and Go's regexp read alike.
func expression() *rapid.Generator[string] {
	atoms := rapid.SampledFrom([]string{"a", "b", "é", "0", `\d`, `\w`, `\D`, `[ab]`, `[^a]`, `[a-c0-9]`, `[^\d\n]`, `.`, `\.`, `\n`, `(?i:B)`, `😀`, `\x61`, `\pL`, `(?:)`})
	return rapid.Custom(func(t *rapid.T) string {
		var gen func(depth int) string
		gen = func(depth int) string {
			kind := rapid.IntRange(0, 7).Draw(t, "kind")
			if depth == 0 || kind < 2 {
				return atoms.Draw(t, "atom")
			}
			switch kind {
			case 2, 3, 4:
				return gen(depth-1) + gen(depth-1)
			case 5:
				return "(" + gen(depth-1) + "|" + gen(depth-1) + ")"
			default:
				return "(" + gen(depth-1) + ")" + rapid.SampledFrom([]string{"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?"}).Draw(t, "times")
			}
		}
		return gen(4)
	})
}

func subject() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune("aabb0é😀.\nBA_")), 0, 8, -1)
}

func TestWholeMatchesAgreeWithGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := expression().Draw(t, "expr")
		g, err := CompileRegex(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		want := regexp.MustCompile(`\A(?:` + expr + `)\z`)
		for range 8 {
			text := subject().Draw(t, "text")
			if got := g.Match([]byte(text)); got != want.MatchString(text) {
				t.Fatalf("%s on %q: %v", expr, text, got)
			}
		}
	})
}

// stringGrammar is the JSON strings with a match, with length bounds.
func stringGrammar(t testing.TB, expr string, min, max int32) (*Grammar, error) {
	p, err := regex.Parse(expr)
	if err != nil {
		return nil, err
	}
	s := newStore()
	text, err := s.texts([]textRule{{p: p}}, min, max, s.jsonRune, s.freeRune())
	if err != nil {
		return nil, err
	}
	return sealed(s, s.cat(s.lit(`"`), text, s.lit(`"`)))
}

func quoted(text string) []byte {
	r := strings.NewReplacer("\n", `\n`, `"`, `\"`, `\`, `\\`)
	return []byte(`"` + r.Replace(text) + `"`)
}

func TestSearchesAgreeWithGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := expression().Draw(t, "expr")
		if rapid.Bool().Draw(t, "begin") {
			expr = "^" + expr
		}
		if rapid.Bool().Draw(t, "end") {
			expr += "$"
		}
		if rapid.Bool().Draw(t, "or") {
			expr += "|" + expression().Draw(t, "other")
		}
		min := rapid.Int32Range(0, 3).Draw(t, "min")
		max := rapid.SampledFrom([]int32{noLimit, 3, 5}).Draw(t, "max")
		g, err := stringGrammar(nil, expr, min, max)
		want := regexp.MustCompile(expr)
		for range 8 {
			text := subject().Draw(t, "text")
			n := int32(utf8.RuneCountInString(text))
			ok := want.MatchString(text) && n >= min && (max == noLimit || n <= max)
			if err != nil {
				if !errors.Is(err, ErrEmpty) || ok {
					t.Fatalf("%s: %v", expr, err)
				}
				continue
			}
			if got := g.Match(quoted(text)); got != ok {
				t.Fatalf("%s {%d,%d} on %q: %v", expr, min, max, text, got)
			}
		}
	})
}

func TestEcmaPatterns(t *testing.T) {
	for _, c := range []struct{ expr, yes, no string }{
		{`^(?=.*[A-Z])(?=.*\d).{4,8}$`, "aB3d", "ab3d"},
		{`^(?!foo$|bar$).*$`, "foob", "foo"},
		{`^(?!.*--)[a-z-]+$`, "a-b", "a--b"},
		{`(^a|b$)`, "xb", "xa"},
		{`^a|b$`, "axx", "xax"},
		{`^[^]$`, "\n", "ab"},
		{`\u{1F600}`, "x😀", "x"},
		{`^\uD83D\uDE00$`, "😀", "x"},
		{`^\p{Letter}+$`, "éa", "a1"},
		{`^\p{Script=Greek}$`, "α", "a"},
		{`^a{3,5000}$`, strings.Repeat("a", 4000), "aa"},
		{`^(a|b)*a(a|b){20}$`, "a" + strings.Repeat("b", 20), "b" + strings.Repeat("b", 20)},
		{`x{,3}`, "x{,3}", "xxx"},
		{`^$`, "", "a"},
		{``, "anything", ""},
	} {
		g, err := stringGrammar(t, c.expr, 0, noLimit)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if !g.Match(quoted(c.yes)) {
			t.Errorf("%s refuses %q", c.expr, c.yes)
		}
		if c.no != "" && g.Match(quoted(c.no)) {
			t.Errorf("%s accepts %q", c.expr, c.no)
		}
	}
}

func TestBadExpressionsAreRefused(t *testing.T) {
	for _, expr := range []string{
		`(`, `)`, `[`, `[b-a]`, `*`, `a**`, `a{2}{3}`, `a{3,2}`, `\1`, `(?<=a)b`, `\bx`, `\q`, `\`, `\u12`, `\uD800`, `\p{Nope}`, `(?<n`, `(?x)a`,
		`^*`, `(^a)*`, `a{1,9999999}`, strings.Repeat("(", 500), strings.Repeat("a", regex.MaxText+1), "\xff", `[[:alpha:]]`, `\xzz`, `(a|(?=b))*`,
	} {
		if _, err := CompileRegex(expr); err == nil {
			t.Errorf("%.40q is accepted", expr)
		} else if !errors.Is(err, ErrRegex) && !errors.Is(err, ErrLimit) {
			t.Errorf("%.40q: %v", expr, err)
		}
	}
}

func TestStringsAreValidUTF8AndEscaped(t *testing.T) {
	s := newStore()
	g, err := sealed(s, s.cat(s.lit(`"`), s.rep(s.freeRune(), 0, 4), s.lit(`"`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, yes := range []string{`""`, `"é😀"`, `"\n\"\\\/"`, `"\u00e9\uD83D\ude00"`, `"\u0000"`, "\"\u007f\""} {
		if !g.Match([]byte(yes)) {
			t.Errorf("refuses %s", yes)
		}
	}
	for _, no := range []string{"\"\n\"", "\"\x00\"", "\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\q"`, `"\U0041"`, `"abcde"`, `"`, ``} {
		if g.Match([]byte(no)) {
			t.Errorf("accepts %q", no)
		}
	}
}
