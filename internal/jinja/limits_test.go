package jinja

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

func render(source, vars string, o Options) (string, error) {
	tmpl, err := Parse(source, o)
	if err != nil {
		return "", err
	}
	v, err := FromJSON([]byte(vars))
	if err != nil {
		return "", err
	}
	return tmpl.Render(v.(*Map))
}

func TestEveryLimitStopsAndSaysItsNumber(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for _, c := range []struct {
		name, source, vars string
		o                  Options
		want               error
		says               string
	}{
		{"source", strings.Repeat("x", 101), "{}", Options{SourceBytes: 100}, ErrLimit, "101 bytes, at most 100"},
		{"output", "{% for i in range(100) %}0123456789{% endfor %}", "{}", Options{OutputBytes: 500}, ErrLimit, "at most 500"},
		{"one value", "{% set x = 'ab' * 1000000000 %}", "{}", Options{}, ErrLimit, "at most 67108864"},
		{"one padded value", "{{ '%1000000000d' % 1 }}", "{}", Options{}, ErrLimit, "at most 67108864"},
		{"a format's width", "{{ '{:99999999999999999999}'.format(1) }}", "{}", Options{}, ErrLimit, "at most 67108864"},
		{"a replaced value", "{{ ('a' * 10000000).replace('a', 'bbbbbbbbbb') }}", "{}", Options{}, ErrLimit, "at most 67108864"},
		{"steps", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "{}", Options{Steps: 100_000}, ErrLimit, "100000 steps"},
		{"a deep tuple as a key", "{% set ns = namespace(s=(1,)) %}{% for i in range(99) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: 1} }}", "{}", Options{}, ErrRender, "unhashable"},
		{"doubling", "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "{}", Options{}, ErrLimit, "67108864"},
		{"doubling a list", "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "{}", Options{Steps: 3_000_000}, ErrLimit, "steps"},
		{"shared nesting", "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}", "{}", Options{OutputBytes: 1 << 20}, ErrLimit, "at most 1048576"},
		{"shared nesting, compared", "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}", "{}", Options{Steps: 3_000_000}, ErrLimit, "steps"},
		{"a namespace in itself", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"recursive loop", "{% for x in l recursive %}{{ loop(l) }}{% endfor %}", `{"l":[1]}`, Options{}, ErrLimit, "256 deep"},
		{"deep data", "{{ d }}", `{"d":` + deep + `}`, Options{}, ErrLimit, "256 deep"},
		{"deep data as JSON", "{{ d | tojson }}", `{"d":` + deep + `}`, Options{}, ErrLimit, "256 deep"},
		{"deep data compared", "{{ d == e }}", `{"d":` + deep + `,"e":` + deep + `}`, Options{}, ErrLimit, "256 deep"},
		{"deep source", "{{ " + deep + " }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"deep parentheses", "{{ " + strings.Repeat("(", 9999) + "1" + strings.Repeat(")", 9999) + " }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"many signs", "{{ " + strings.Repeat("-", 9999) + "1 }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"many nots", "{{ " + strings.Repeat("not ", 9999) + "1 }}", "{}", Options{}, ErrLimit, "256 deep"},
		{"deep ifs", strings.Repeat("{% if 1 %}", 9999), "{}", Options{}, ErrLimit, "256 deep"},
		{"deep targets", "{% for " + strings.Repeat("(", 9999) + strings.Repeat(")", 9999) + " %}", "{}", Options{}, ErrLimit, "256 deep"},
		{"a long chain", "{{ 1" + strings.Repeat("+1", 2000) + " }}", "{}", Options{}, ErrLimit, "1000 operators"},
		{"long subscripts", "{{ a" + strings.Repeat(".a", 2000) + " }}", "{}", Options{}, ErrLimit, "1000 operators"},
		{"many filters", "{{ a" + strings.Repeat("|d", 2000) + " }}", "{}", Options{}, ErrLimit, "1000 operators"},
		{"power", "{{ 10 ** (10 ** 10) }}", "{}", Options{}, ErrLimit, "14300 bits"},
		{"big power", "{{ 7 ** 1000000000000 }}", "{}", Options{}, ErrLimit, "14300 bits"},
		{"big product", "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}", "{}", Options{}, ErrLimit, "14300 bits"},
		{"long integer", "{{ '" + strings.Repeat("9", 5000) + "' | int }}", "{}", Options{}, nil, ""},
		{"range", "{{ range(100001) }}", "{}", Options{}, ErrRender, "100000"},
		{"raised", "\n\n{{ raise_exception('no <system>') }}", "{}", Options{}, ErrRaised, "(line 3): no <system>"},
		{"line", "a\n{% if 1 %}\n{{ x.y.z }}{% endif %}", "{}", Options{}, ErrRender, "line 3: 'x' is undefined"},
		{"attribute", "\n{{ x.y.z }}", `{"x":{}}`, Options{}, ErrRender, "line 2: 'dict object' has no attribute 'y'"},
		{"syntax", "a\nb\n{% if %}", "{}", Options{}, ErrSyntax, "line 3: expected an expression"},
		{"include", "{% include 'a' %}", "{}", Options{}, ErrSyntax, "'include' is not supported"},
		{"changed list", "{% set x = [] %}{{ x.append(1) }}", "{}", Options{}, ErrRender, "unsafe"},
	} {
		_, err := render(c.source, c.vars, c.o)
		if c.want == nil {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want %q", c.name, err, c.says)
		}
	}
}

// TestNoWorkIsFree loops over what could be done to a long text or list without making anything.
func TestNoWorkIsFree(t *testing.T) {
	for _, e := range []string{"s | length", "s == t", "s < t", "s is lower", "s in m", "m[s]", "m.get(s) is none", "s.isspace()", "s.strip(u)", "s.count('b')", "s.find('b')", "s.split('b') | length", "s.startswith('b', 5)",
		"s | int", "s | float", "s | wordcount", "s | upper", "s.swapcase()", "s | title", "s | reverse", "s | first", "s[-1]", "s[5:]", "s.index('a', 5)", "s.splitlines()", "s.partition('b')", "s.replace('b', '')", "s.zfill(1)",
		"s | tojson", "s | e", "s | urlencode", "s | indent", "s | truncate", "s ~ 1", "s + 'a'", "'%s' % s", "'{}'.format(s)", "[s] | join", "l | list", "l | reverse", "l | sort", "l + l", "l * 2", "l[1:]",
		"l == k", "l | tojson", "l | string", "m2 | items | list", "m2 | dictsort", "dict(m2)", "m2.items() | list", "m2 == m3", "l | map('upper') | list", "l | select | list", "l | unique | list", "l | sum(start=0)", "l | max", "l | batch(2) | list"} {
		source := "{% set s = 'a' * 1000000 %}{% set t = 'a' * 1000000 %}{% set u = 'b' * 1000000 ~ 'a' %}{% set l = [1] * 50000 %}{% set k = [1] * 50000 %}{% for i in range(100000) %}{% if " + e + " %}{% endif %}{% endfor %}"
		vars := NewMap().Set("m", NewMap()).Set("m2", large()).Set("m3", large())
		tmpl, err := Parse(source, Options{Steps: 1_500_000})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := tmpl.Render(vars); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v after %v", e, err, time.Since(begin))
		}
	}
}

func large() *Map {
	m := NewMap()
	for i := range 20_000 {
		m.Set(strconv.Itoa(i), Int(i))
	}
	return m
}

func TestJSONKeepsItsOrderAndItsNumbers(t *testing.T) {
	for _, c := range [][2]string{
		{`{"z":1,"a":{"y":[1,1.0,-0.0,1e2,123456789012345678901234567890]},"":null}`, `{"z": 1, "a": {"y": [1, 1.0, -0.0, 100.0, 123456789012345678901234567890]}, "": null}`},
		{`{"a":1,"b":2,"a":3}`, `{"a": 3, "b": 2}`},
		{`"\ud83d\ude00\u0000"`, `"😀\u0000"`},
	} {
		got, err := render("{{ v | tojson }}", `{"v":`+c[0]+`}`, Options{})
		if err != nil || got != c[1] {
			t.Errorf("%s: got %s (%v)", c[0], got, err)
		}
	}
	for _, bad := range []string{"", "{", `{"a":1}}`, `{"a" 1}`, "[1,]", "nul", `{"a":1} 2`, strings.Repeat("[", 5000), `{"a":` + strings.Repeat("9", 5000) + `}`} {
		if v, err := FromJSON([]byte(bad)); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20s: got %v (%v)", bad, v, err)
		}
	}
}

// FuzzTemplate: no text makes Parse or Render panic or pass a limit, and a rendering has one result.
func FuzzTemplate(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	vars, err := FromJSON([]byte(`{"messages":` + conversations["reasoning-call"] + `,"tools":[` + weatherTool + `],"l":[3,1,2],"m":{"a":1},"s":"text","add_generation_prompt":true}`))
	if err != nil {
		f.Fatal(err)
	}
	o := Options{SourceBytes: 1 << 15, OutputBytes: 1 << 16, Steps: 50_000, Depth: 60, Now: clock}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source, o)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v is no error of the template's", err)
			}
			return
		}
		first, err := tmpl.Render(vars.(*Map))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%v is no error of the template's", err)
		}
		if len(first) > o.OutputBytes {
			t.Fatalf("%d bytes of output", len(first))
		}
		again, err2 := tmpl.Render(vars.(*Map))
		if first != again || (err == nil) != (err2 == nil) {
			t.Fatalf("two renderings differ: %q %v, %q %v", first, err, again, err2)
		}
	})
}

func seeds(f *testing.F) []string {
	text, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		f.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(string(text), "\n") {
		if line != "" && !strings.HasPrefix(line, "##") {
			out = append(out, asTemplate(line))
		}
	}
	files, _ := filepath.Glob(filepath.Join(testdeps.Root(f), ".deps/llama.cpp/models/templates/*.jinja"))
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			out = append(out, string(text))
		}
	}
	return out
}

func BenchmarkRender(b *testing.B) {
	text, err := os.ReadFile(testdeps.Dep(b, "llama.cpp/models/templates/Qwen-Qwen3-0.6B.jinja"))
	if err != nil {
		b.Fatal(err)
	}
	tmpl, err := Parse(string(text), Options{})
	if err != nil {
		b.Fatal(err)
	}
	vars, err := FromJSON([]byte(`{"messages":` + conversations["reasoning-call"] + `,"tools":[` + weatherTool + `],"add_generation_prompt":true}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Render(vars.(*Map)); err != nil {
			b.Fatal(err)
		}
	}
}
