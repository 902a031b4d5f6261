package jinja

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	kEOF kind = iota
	kData
	kBlockBegin
	kBlockEnd
	kPrintBegin
	kPrintEnd
	kName
	kInt
	kFloat
	kString
	kOp
)

type token struct {
	kind kind
	text string // decoded for strings, without underscores for numbers
	line int
}

func (t token) String() string {
	switch t.kind {
	case kEOF:
		return "end of the template"
	case kBlockEnd:
		return "end of statement block"
	case kPrintEnd:
		return "end of print statement"
	}
	return "'" + t.text + "'"
}

// syntax stops the parsing.
func syntax(line int, format string, args ...any) {
	panic(failure{ErrSyntax.Because("jinja: line %d: %s", line, fmt.Sprintf(format, args...))})
}

// lexer cuts a template into tokens, with trim_blocks and lstrip_blocks on: the newline behind a
// block is dropped, and so is the blank space between a line's beginning and a block.
type lexer struct {
	src       string
	pos, line int
	fresh     bool // the last token ended with a newline, or there is none: a line begins here
	out       []token
}

func lex(source string) []token {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(source, "\n"), line: 1, fresh: true}
	for l.pos < len(l.src) {
		l.root()
	}
	l.add(kEOF, "")
	return l.out
}

func (l *lexer) add(k kind, text string) { l.out = append(l.out, token{k, text, l.line}) }

// skip moves on by n bytes, counting lines.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	if n > 0 {
		l.fresh = l.src[l.pos+n-1] == '\n'
	}
	l.pos += n
}

// root reads text up to a tag and the tag.
func (l *lexer) root() {
	rest := l.src[l.pos:]
	at := 0
	for {
		i := strings.IndexByte(rest[at:], '{')
		if i < 0 || at+i+1 >= len(rest) {
			l.add(kData, rest)
			l.skip(len(rest))
			return
		}
		at += i
		if c := rest[at+1]; c == '{' || c == '%' || c == '#' {
			break
		}
		at++
	}
	open := rest[at+1]
	width := 2
	var sign byte
	if at+2 < len(rest) && (rest[at+2] == '-' || rest[at+2] == '+') {
		sign = rest[at+2]
		width = 3
	}
	if text := l.before(rest[:at], sign, open != '{'); text != "" {
		l.add(kData, text)
	}
	l.skip(at)
	switch open {
	case '#':
		l.skip(width)
		l.comment()
	case '%':
		if n := tagLength(l.src[l.pos:], "raw", false); n > 0 {
			l.raw(n)
			return
		}
		l.add(kBlockBegin, "{%")
		l.skip(width)
		l.inside(kBlockEnd)
	default:
		l.add(kPrintBegin, "{{")
		l.skip(width)
		l.inside(kPrintEnd)
	}
}

// before is the text in front of a tag with this sign.
func (l *lexer) before(text string, sign byte, block bool) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	if sign == '+' || !block {
		return text
	}
	from := strings.LastIndexByte(text, '\n') + 1
	if (from > 0 || l.fresh) && strings.TrimFunc(text[from:], isSpace) == "" {
		return text[:from]
	}
	return text
}

// blanks is the number of bytes of blank space that s begins with.
func blanks(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isSpace)) }

// closing is the length of a tag's end (%} -%} +%}) and of what it swallows, 0 if s has none here.
func closing(s, end string, trim bool) int {
	switch {
	case strings.HasPrefix(s, "-"+end):
		return 3 + blanks(s[3:])
	case trim && strings.HasPrefix(s, "+"+end):
		return 3
	case strings.HasPrefix(s, end):
		if trim && strings.HasPrefix(s[2:], "\n") {
			return 3
		}
		return 2
	}
	return 0
}

// tagLength is the length of a {% word %} tag that s begins with, 0 if it does not.
func tagLength(s, word string, trim bool) int {
	i := 2
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	i += blanks(s[i:])
	if !strings.HasPrefix(s[i:], word) {
		return 0
	}
	i += len(word)
	i += blanks(s[i:])
	if !trim && strings.HasPrefix(s[i:], "%}") { // the newline behind raw is part of the text
		return i + 2
	}
	n := closing(s[i:], "%}", trim)
	if n == 0 {
		return 0
	}
	return i + n
}

func (l *lexer) comment() {
	rest := l.src[l.pos:]
	end := strings.Index(rest, "#}")
	if end < 0 {
		syntax(l.line, "missing end of comment tag")
	}
	if end > 0 && (rest[end-1] == '-' || rest[end-1] == '+') {
		end--
	}
	l.skip(end + closing(rest[end:], "#}", true))
}

func (l *lexer) raw(begin int) {
	line := l.line
	l.skip(begin)
	rest := l.src[l.pos:]
	for at := 0; ; at += 2 {
		i := strings.Index(rest[at:], "{%")
		if i < 0 {
			syntax(line, "missing end of raw directive")
		}
		at += i
		n := tagLength(rest[at:], "endraw", true)
		if n == 0 {
			continue
		}
		var sign byte
		if c := rest[at+2]; c == '-' || c == '+' {
			sign = c
		}
		if text := l.before(rest[:at], sign, true); text != "" {
			l.add(kData, text)
		}
		l.skip(at + n)
		return
	}
}

// inside reads the tokens of a tag up to its end.
func (l *lexer) inside(end kind) {
	mark, start := "%}", l.line
	if end == kPrintEnd {
		mark = "}}"
	}
	var open []byte
	for {
		rest := l.src[l.pos:]
		if rest == "" {
			syntax(start, "the tag that begins here has no end")
		}
		if len(open) == 0 {
			if n := closing(rest, mark, end == kBlockEnd); n > 0 {
				l.add(end, mark)
				l.skip(n)
				return
			}
		}
		if n := blanks(rest); n > 0 {
			l.skip(n)
			continue
		}
		c, _ := utf8.DecodeRuneInString(rest)
		switch {
		case c >= '0' && c <= '9':
			l.number(rest)
		case c == '_' || unicode.IsLetter(c):
			n := strings.IndexFunc(rest, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
			if n < 0 {
				n = len(rest)
			}
			l.add(kName, rest[:n])
			l.skip(n)
		case c == '"' || c == '\'':
			l.string(rest)
		default:
			open = l.operator(rest, open)
		}
	}
}

const twoByteOps = "// ** == != >= <="

func (l *lexer) operator(rest string, open []byte) []byte {
	n := 1
	if len(rest) > 1 && rest[0] != ' ' && rest[1] != ' ' && strings.Contains(twoByteOps, rest[:2]) {
		n = 2
	}
	c := rest[0]
	if n == 1 && strings.IndexByte("+-/*%~[](){}><=.:|,;", c) < 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		syntax(l.line, "unexpected char %q", r)
	}
	switch c {
	case '(', '[', '{':
		open = append(open, map[byte]byte{'(': ')', '[': ']', '{': '}'}[c])
	case ')', ']', '}':
		if len(open) == 0 {
			syntax(l.line, "unexpected '%c'", c)
		}
		if want := open[len(open)-1]; want != c {
			syntax(l.line, "unexpected '%c', expected '%c'", c, want)
		}
		open = open[:len(open)-1]
	}
	l.add(kOp, rest[:n])
	l.skip(n)
	return open
}

// digits is the length of a run of digits with single underscores between them.
func digits(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && (is(s[n]) || s[n] == '_' && n > 0 && s[n-1] != '_' && n+1 < len(s) && is(s[n+1])) {
		n++
	}
	return n
}

func decimal(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) number(rest string) {
	hex := func(c byte) bool { return decimal(c) || c|32 >= 'a' && c|32 <= 'f' }
	if len(rest) > 2 && rest[0] == '0' {
		is := map[byte]func(byte) bool{'x': hex, 'o': func(c byte) bool { return c >= '0' && c <= '7' }, 'b': func(c byte) bool { return c|1 == '1' }}[rest[1]|32]
		if is != nil {
			from := 2
			if rest[2] == '_' {
				from = 3
			}
			if n := digits(rest[from:], is); n > 0 {
				l.add(kInt, "0"+strings.ToLower(rest[1:2])+strings.ReplaceAll(rest[from:from+n], "_", ""))
				l.skip(from + n)
				return
			}
		}
	}
	n := digits(rest, decimal)
	k := kInt
	if f := l.fraction(rest[n:]); f > 0 && (l.pos == 0 || l.src[l.pos-1] != '.') {
		n, k = n+f, kFloat
	} else if rest[0] == '0' { // 0 or 00, but 012 is two tokens
		n = digits(rest, func(c byte) bool { return c == '0' })
	}
	l.add(k, strings.ReplaceAll(rest[:n], "_", ""))
	l.skip(n)
}

// fraction is the length of .5, e5 or .5e5.
func (l *lexer) fraction(s string) int {
	n := 0
	if strings.HasPrefix(s, ".") {
		if d := digits(s[1:], decimal); d > 0 {
			n = 1 + d
		}
	}
	if n < len(s) && s[n]|32 == 'e' {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if d := digits(s[e:], decimal); d > 0 {
			n = e + d
		}
	}
	return n
}

func (l *lexer) string(rest string) {
	q := rest[0]
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case q:
			l.add(kString, unescape(l.line, rest[1:i]))
			l.skip(i + 1)
			return
		}
	}
	syntax(l.line, "the string that begins here has no end")
}

// unescape is Python's unicode-escape.
func unescape(line int, s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte("\\'\"abfnrtv\n", s[i]); at >= 0 {
			b.WriteString([...]string{"\\", "'", "\"", "\a", "\b", "\f", "\n", "\r", "\t", "\v", ""}[at])
			continue
		}
		width, base := 0, rune(16)
		switch s[i] {
		case 'x':
			width = 2
		case 'u':
			width = 4
		case 'U':
			width = 8
		case 'N':
			syntax(line, `\N{...} is not supported in a string: write the character itself`)
		case '0', '1', '2', '3', '4', '5', '6', '7':
			width, base = min(3, digits(s[i:], func(c byte) bool { return c >= '0' && c <= '7' })), 8
			i--
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
			continue
		}
		if i+width >= len(s) {
			syntax(line, "truncated escape in a string")
		}
		b.WriteRune(codePoint(line, s[i+1:i+1+width], base))
		i += width
	}
	return b.String()
}

func codePoint(line int, digits string, base rune) rune {
	var c rune
	for _, d := range strings.ToLower(digits) {
		v := d - '0'
		if d >= 'a' {
			v = d - 'a' + 10
		}
		if v < 0 || v >= base || c > unicode.MaxRune {
			syntax(line, "bad escape in a string")
		}
		c = c*base + v
	}
	if !utf8.ValidRune(c) {
		syntax(line, "an escape in a string is no character: %x", c)
	}
	return c
}
