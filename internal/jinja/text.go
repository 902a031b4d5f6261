package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// strMethods are the methods of a text. Positions count code points.
var strMethods = map[string]method{
	"upper":      mapped(upper),
	"lower":      mapped(lower),
	"casefold":   mapped(casefold),
	"title":      mapped(title),
	"capitalize": mapped(capitalize),
	"swapcase":   mapped(swapcase),

	"strip":        stripped(true, true),
	"lstrip":       stripped(true, false),
	"rstrip":       stripped(false, true),
	"removeprefix": removed(strings.CutPrefix),
	"removesuffix": removed(strings.CutSuffix),
	"split":        splitMethod(false),
	"rsplit":       splitMethod(true),
	"splitlines": func(r *run, self Value, a args) Value {
		keep := yes(a.bind(r, "splitlines", "keepends")[0])
		return r.texts(self, splitLines(own(self), keep))
	},
	"partition":  partition(strings.Index, false),
	"rpartition": partition(strings.LastIndex, true),
	"join":       joinMethod,
	"replace":    replaceMethod,
	"startswith": affix("startswith", strings.HasPrefix),
	"endswith":   affix("endswith", strings.HasSuffix),
	"find":       finder("find", strings.Index, false),
	"rfind":      finder("rfind", strings.LastIndex, false),
	"index":      finder("index", strings.Index, true),
	"rindex":     finder("rindex", strings.LastIndex, true),
	"count":      countMethod,
	"center":     padded("center"),
	"ljust":      padded("ljust"),
	"rjust":      padded("rjust"),
	"zfill":      zfill,

	"isspace": every("isspace", isSpace),
	"isalpha": every("isalpha", unicode.IsLetter),
	"isalnum": every("isalnum", isAlnum),
	"isdigit": every("isdigit", func(c rune) bool {
		return unicode.IsDigit(c) || strings.ContainsRune("²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", c)
	}),
	"isdecimal": every("isdecimal", unicode.IsDigit),
	"isnumeric": every("isnumeric", unicode.IsNumber),
	"isascii": func(r *run, self Value, a args) Value {
		a.bind(r, "isascii")
		return Bool(ascii(own(self)))
	},
	"isupper": func(r *run, self Value, a args) Value { a.bind(r, "isupper"); return Bool(cased(own(self), true)) },
	"islower": func(r *run, self Value, a args) Value { a.bind(r, "islower"); return Bool(cased(own(self), false)) },
	"istitle": func(r *run, self Value, a args) Value {
		a.bind(r, "istitle")
		s := own(self)
		return Bool(title(s) == s && strings.ContainsFunc(s, func(c rune) bool { return unicode.IsUpper(c) || unicode.IsTitle(c) }))
	},
}

// own is the text that a method belongs to.
func own(self Value) string {
	s, _ := stringOf(self)
	return s
}

// arg is a text argument; a safe text escapes it.
func (r *run) arg(self, v Value, fn string) string {
	s, ok := stringOf(or(v, None{}))
	if !ok {
		if v == nil {
			r.fail("%s() needs another argument", fn)
		}
		r.fail("%s() argument must be str, not %s", fn, v.typeName())
	}
	if isA[markup](self) {
		return escape(v)
	}
	return s
}

// like is a text of the same kind as self.
func (r *run) like(self Value, s string) Value { return r.marked(isA[markup](self), s) }

func (r *run) texts(self Value, parts []string) Value {
	out := make(List, len(parts))
	r.spend(len(parts))
	for i, p := range parts {
		out[i] = r.like(self, p)
	}
	return out
}

func mapped(f func(string) string) method {
	return func(r *run, self Value, a args) Value {
		a.bind(r, "the method")
		s := own(self)
		r.spend(len(s)) // Unicode's mappings are slow
		return r.like(self, f(s))
	}
}

func casefold(s string) string { return lower(strings.ReplaceAll(lower(s), "ß", "ss")) }

func every(name string, is func(rune) bool) method {
	return func(r *run, self Value, a args) Value {
		a.bind(r, name)
		r.reads(self)
		s := own(self)
		return Bool(s != "" && strings.IndexFunc(s, func(c rune) bool { return !is(c) }) < 0)
	}
}

func stripped(left, right bool) method {
	return func(r *run, self Value, a args) Value {
		r.noNames("strip", a)
		chars := or(a.bind(r, "strip", "chars")[0], None{})
		is := isSpace
		if !isA[None](chars) {
			set := r.arg(String(""), chars, "strip")
			r.spend(len(set))
			members := map[rune]bool{}
			for _, c := range set {
				members[c] = true
			}
			is = func(c rune) bool { return members[c] }
		}
		s := own(self)
		if left {
			s = strings.TrimLeftFunc(s, is)
		}
		if right {
			s = strings.TrimRightFunc(s, is)
		}
		return r.like(self, s)
	}
}

func removed(cut func(string, string) (string, bool)) method {
	return func(r *run, self Value, a args) Value {
		r.noNames("removeprefix", a)
		s, _ := cut(own(self), r.arg(self, a.bind(r, "removeprefix", "affix")[0], "removeprefix"))
		return r.like(self, s)
	}
}

func splitMethod(fromRight bool) method {
	return func(r *run, self Value, a args) Value {
		got := a.bind(r, "split", "sep", "maxsplit")
		limit := r.int(or(got[1], Int(-1)), "maxsplit")
		s := own(self)
		if isA[None](or(got[0], None{})) {
			r.spend(len(s) >> 4)
			return r.texts(self, fields(s, limit, fromRight))
		}
		sep := r.arg(String(""), got[0], "split")
		if sep == "" {
			r.fail("empty separator")
		}
		r.spend(len(s) >> 5)
		if limit < 0 {
			r.spend(strings.Count(s, sep))
			return r.texts(self, strings.Split(s, sep))
		}
		if !fromRight {
			return r.texts(self, strings.SplitN(s, sep, min(limit, len(s))+1))
		}
		var tail []string
		for range min(limit, len(s)) {
			i := strings.LastIndex(s, sep)
			if i < 0 {
				break
			}
			tail = append(tail, s[i+len(sep):])
			s = s[:i]
		}
		out := []string{s}
		for i := len(tail) - 1; i >= 0; i-- {
			out = append(out, tail[i])
		}
		return r.texts(self, out)
	}
}

// fields splits at runs of blank space, at most limit times (negative: without a limit).
func fields(s string, limit int, fromRight bool) []string {
	if limit < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var out []string
	for n := 0; ; n++ {
		if fromRight {
			s = strings.TrimRightFunc(s, isSpace)
		} else {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if s == "" {
			break
		}
		i := strings.IndexFunc(s, isSpace)
		if fromRight {
			i = strings.LastIndexFunc(s, isSpace)
		}
		if n == limit || i < 0 {
			if fromRight {
				s = strings.TrimRightFunc(s, isSpace)
			}
			out = append(out, s)
			break
		}
		if fromRight {
			_, w := utf8.DecodeRuneInString(s[i:])
			out, s = append(out, s[i+w:]), s[:i]
		} else {
			out, s = append(out, s[:i]), s[i:]
		}
	}
	if fromRight {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

func partition(index func(string, string) int, fromRight bool) method {
	return func(r *run, self Value, a args) Value {
		r.noNames("partition", a)
		sep := r.arg(self, a.bind(r, "partition", "sep")[0], "partition")
		if sep == "" {
			r.fail("empty separator")
		}
		s := own(self)
		parts := []string{s, "", ""}
		if fromRight {
			parts = []string{"", "", s}
		}
		if i := index(s, sep); i >= 0 {
			parts = []string{s[:i], sep, s[i+len(sep):]}
		}
		return tuple(r.texts(self, parts).(List))
	}
}

func joinMethod(r *run, self Value, a args) Value {
	r.noNames("join", a)
	of := a.bind(r, "join", "iterable")[0]
	if of == nil {
		r.fail("str.join() takes exactly one argument (0 given)")
	}
	var b strings.Builder
	for i, v := range r.list(of) {
		if i > 0 {
			b.WriteString(own(self))
		}
		if _, ok := stringOf(v); !ok {
			r.fail("sequence item %d: expected str instance, %s found", i, v.typeName())
		}
		b.WriteString(r.arg(self, v, "join"))
		if b.Len() > r.options.OutputBytes {
			r.tooLong(b.Len())
		}
	}
	return r.like(self, b.String())
}

func replaceMethod(r *run, self Value, a args) Value {
	r.noNames("replace", a)
	got := a.bind(r, "replace", "old", "new", "count")
	s, old, with := own(self), r.arg(self, got[0], "replace"), r.arg(self, got[1], "replace")
	n := r.int(or(got[2], Int(-1)), "count")
	r.spend(len(s) >> 5)
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	r.madeTimes(times, max(0, len(with)-len(old)))
	r.made(len(s) + times*max(0, len(with)-len(old)))
	return r.like(self, strings.Replace(s, old, with, n))
}

// window is the part of a text between two positions, in code points; ok is false where Python finds
// nothing in it, not even the empty text.
func (r *run) window(s string, start, end Value) (part string, from int, ok bool) {
	from, to, _, _ := r.indices(utf8.RuneCountInString(s), [3]Value{or(start, None{}), or(end, None{}), None{}})
	if i, isInt := small(or(start, None{})); isInt && i > int64(utf8.RuneCountInString(s)) || from > to {
		return "", from, false
	}
	return r.sliceText(s, [3]Value{Int(from), Int(to), None{}}), from, true
}

func affix(name string, has func(string, string) bool) method {
	return func(r *run, self Value, a args) Value {
		r.noNames(name, a)
		got := a.bind(r, name, "affix", "start", "end")
		s, ok := own(self), true
		if got[1] != nil || got[2] != nil {
			s, _, ok = r.window(s, got[1], got[2])
		}
		options, several := or(got[0], None{}).(tuple)
		if !several {
			options = tuple{or(got[0], None{})}
		}
		for _, o := range options {
			if has(s, r.arg(String(""), o, name)) && ok {
				return Bool(true)
			}
		}
		return Bool(false)
	}
}

func finder(name string, index func(string, string) int, must bool) method {
	return func(r *run, self Value, a args) Value {
		r.noNames(name, a)
		got := a.bind(r, name, "sub", "start", "end")
		sub := r.arg(String(""), got[0], name)
		part, from, ok := r.window(own(self), got[1], got[2])
		if i := index(part, sub); ok && i >= 0 {
			return Int(from + utf8.RuneCountInString(part[:i]))
		}
		if must {
			r.fail("substring not found")
		}
		return Int(-1)
	}
}

func countMethod(r *run, self Value, a args) Value {
	r.reads(self)
	r.noNames("count", a)
	got := a.bind(r, "count", "sub", "start", "end")
	sub := r.arg(String(""), got[0], "count")
	part, _, ok := r.window(own(self), got[1], got[2])
	if !ok {
		return Int(0)
	}
	return Int(strings.Count(part, sub))
}

func padded(name string) method {
	return func(r *run, self Value, a args) Value {
		r.noNames(name, a)
		got := a.bind(r, name, "width", "fillchar")
		width := r.int(or(got[0], None{}), "width")
		fill := r.arg(self, or(got[1], String(" ")), name)
		if utf8.RuneCountInString(fill) != 1 {
			r.fail("The fill character must be exactly one character long")
		}
		s := own(self)
		n := width - utf8.RuneCountInString(s)
		if n <= 0 {
			return r.like(self, s)
		}
		left := 0
		switch name {
		case "center":
			left = n/2 + n&width&1
		case "rjust":
			left = n
		}
		r.madeTimes(n, len(fill))
		return r.like(self, strings.Repeat(fill, left)+s+strings.Repeat(fill, n-left))
	}
}

func zfill(r *run, self Value, a args) Value {
	r.noNames("zfill", a)
	width := r.int(or(a.bind(r, "zfill", "width")[0], None{}), "width")
	s := own(self)
	n := width - utf8.RuneCountInString(s)
	if n <= 0 {
		return r.like(self, s)
	}
	r.madeTimes(n, 1)
	sign := ""
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		sign, s = s[:1], s[1:]
	}
	return r.like(self, sign+strings.Repeat("0", n)+s)
}

// isSpace is Python's str.isspace of one character.
func isSpace(c rune) bool { return unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f }

func isAlnum(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }

func strip(s string, is func(rune) bool) string { return strings.TrimFunc(s, is) }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func upper(s string) string {
	if ascii(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}

// titleRune is the title case of a word's first character.
func titleRune(c rune) string {
	if t := unicode.ToTitle(c); t != c || c < utf8.RuneSelf {
		return string(t)
	}
	if u := upper(string(c)); u != string(c) { // ß begins a word as Ss
		_, n := utf8.DecodeRuneInString(u)
		return u[:n] + lower(u[n:])
	}
	return string(c)
}

func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return titleRune(c) + lower(s[n:])
}

// title is Python's str.title: a word is a run of letters.
func title(s string) string {
	var b strings.Builder
	from := -1
	for i, c := range s {
		cased := unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c)
		if !cased && from >= 0 {
			b.WriteString(capitalize(s[from:i]))
			from = -1
		}
		if cased && from < 0 {
			from = i
		}
		if !cased {
			b.WriteRune(c)
		}
	}
	if from >= 0 {
		b.WriteString(capitalize(s[from:]))
	}
	return b.String()
}

func swapcase(s string) string {
	var b strings.Builder
	up, down := cases.Upper(language.Und), cases.Lower(language.Und)
	for _, c := range s {
		switch {
		case unicode.IsUpper(c):
			b.WriteString(down.String(string(c)))
		case unicode.IsLower(c):
			b.WriteString(up.String(string(c)))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// splitLines is Python's str.splitlines.
func splitLines(s string, keep bool) []string {
	out := []string{}
	from := 0
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		end := i + n
		switch {
		case c == '\r' && strings.HasPrefix(s[end:], "\n"):
			end++
		case c >= '\n' && c <= '\r', c >= 0x1c && c <= 0x1e, c == 0x85, c == 0x2028, c == 0x2029:
		default:
			i = end
			continue
		}
		if keep {
			out = append(out, s[from:end])
		} else {
			out = append(out, s[from:i])
		}
		from, i = end, end
	}
	if from < len(s) {
		out = append(out, s[from:])
	}
	return out
}
