package jinja

import "slices"

// parser turns tokens into statements.
type parser struct {
	tokens     []token
	pos        int
	depth      int
	depthLimit int
	loops      int // loops around this place, for break and continue
	soft       bool
	unknown    []unknownName
	macros     []*macroDef // being parsed, outermost first
}

// unknownName is a filter or test that does not exist. Jinja accepts it in a branch, where it fails
// only if it is reached.
type unknownName struct {
	line int
	text string
	soft bool
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) ahead() token { return p.tokens[min(p.pos+1, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != kEOF {
		p.pos++
	}
	return t
}

func (p *parser) isOp(op string) bool {
	t := p.peek()
	return t.kind == kOp && t.text == op
}

func (p *parser) isName(name string) bool {
	t := p.peek()
	return t.kind == kName && t.text == name
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expectOp(op string) token {
	if !p.isOp(op) {
		syntax(p.peek().line, "expected '%s', got %s", op, p.peek())
	}
	return p.next()
}

func (p *parser) expect(k kind, what string) token {
	if p.peek().kind != k {
		syntax(p.peek().line, "expected %s, got %s", what, p.peek())
	}
	return p.next()
}

// enter counts a level of nesting; the result leaves it.
func (p *parser) enter() func() {
	p.depth++
	if p.depth > p.depthLimit {
		panic(failure{ErrLimit.Because("jinja: line %d: the template nests more than %d deep", p.peek().line, p.depthLimit)})
	}
	return p.leave
}

func (p *parser) leave() { p.depth-- }

func (p *parser) template() []stmt {
	body := p.body()
	if t := p.peek(); t.kind != kEOF {
		syntax(t.line, "unexpected %s", t)
	}
	for _, u := range p.unknown {
		if !u.soft {
			syntax(u.line, "%s", u.text)
		}
	}
	return body
}

// body reads statements up to one of the end names, which is left as the current token.
func (p *parser) body(ends ...string) []stmt {
	defer p.enter()()
	var out []stmt
	for {
		t := p.next()
		switch t.kind {
		case kEOF:
			if len(ends) > 0 {
				syntax(t.line, "unexpected end of template: %s is missing", ends[len(ends)-1])
			}
			return out
		case kData:
			out = append(out, &textStmt{t.text})
		case kPrintBegin:
			out = append(out, &printStmt{t.line, p.tuple(true, false)})
			p.expect(kPrintEnd, "end of print statement")
		case kBlockBegin:
			name := p.peek()
			if name.kind != kName {
				syntax(name.line, "a tag's name is expected, got %s", name)
			}
			if slices.Contains(ends, name.text) {
				return out
			}
			p.pos++
			out = append(out, p.statement(name))
			p.expect(kBlockEnd, "end of statement block")
		default:
			syntax(t.line, "unexpected %s", t)
		}
	}
}

// inner reads a tag's body, from the tag's own end to the end tag's name, which it consumes.
func (p *parser) inner(ends ...string) []stmt {
	p.skipOp(":")
	p.expect(kBlockEnd, "end of statement block")
	return p.body(ends...)
}

// hard reads a body where an unknown filter is an error even if it is never reached.
func (p *parser) hard(loops int, end ...string) []stmt {
	soft, outer := p.soft, p.loops
	p.soft, p.loops = false, loops
	body := p.inner(end...)
	p.soft, p.loops = soft, outer
	return body
}

func (p *parser) statement(t token) stmt {
	switch t.text {
	case "if":
		return p.ifStmt(t.line)
	case "for":
		return p.forStmt(t.line)
	case "set":
		return p.setStmt(t.line)
	case "macro":
		return p.macroStmt(t.line)
	case "call":
		return p.callStmt(t.line)
	case "filter":
		chain := p.filters(nil, true)
		body := p.hard(0, "endfilter")
		p.pos++
		return &filterStmt{t.line, chain, body}
	case "with":
		return p.withStmt()
	case "generation":
		body := p.hard(0, "endgeneration")
		p.pos++
		return &scopeStmt{body: body}
	case "print":
		return p.printTag(t.line)
	case "break", "continue":
		if p.loops == 0 {
			syntax(t.line, "'%s' outside of a loop", t.text)
		}
		if t.text == "break" {
			return jump(breaks)
		}
		return jump(continues)
	case "include", "import", "from", "extends", "block", "autoescape":
		syntax(t.line, "the tag '%s' is not supported: a chat template stands alone", t.text)
	}
	syntax(t.line, "unknown tag '%s'", t.text)
	return nil
}

func (p *parser) ifStmt(line int) stmt {
	soft := p.soft
	p.soft = true
	defer func() { p.soft = soft }()
	s := &ifStmt{}
	for {
		s.arms = append(s.arms, arm{line, p.tuple(false, false), p.inner("elif", "else", "endif")})
		t := p.next()
		if t.text == "elif" {
			line = t.line
			continue
		}
		if t.text == "else" {
			s.otherwise = p.inner("endif")
			p.pos++
		}
		return s
	}
}

func (p *parser) forStmt(line int) stmt {
	s := &forStmt{line: line, target: p.target(false, "in")}
	if !p.skipName("in") {
		syntax(p.peek().line, "expected 'in', got %s", p.peek())
	}
	s.over = p.tuple(false, false, "recursive")
	soft := p.soft
	p.soft = false
	if p.skipName("if") {
		s.test = p.expression()
	}
	p.soft = soft
	s.recursive = p.skipName("recursive")
	s.body = p.hard(p.loops+1, "endfor", "else")
	if p.next().text == "else" {
		s.otherwise = p.hard(p.loops, "endfor")
		p.pos++
	}
	return s
}

func (p *parser) setStmt(line int) stmt {
	to := p.target(true)
	if p.skipOp("=") {
		return &setStmt{line, to, p.tuple(true, false)}
	}
	chain := p.filters(nil, false)
	body := p.hard(0, "endset")
	p.pos++
	return &setBlock{line, to, chain, body}
}

func (p *parser) withStmt() stmt {
	s := &scopeStmt{}
	for p.peek().kind != kBlockEnd {
		if len(s.targets) > 0 {
			p.expectOp(",")
		}
		s.targets = append(s.targets, p.target(false))
		p.expectOp("=")
		s.values = append(s.values, p.expression())
	}
	s.body = p.hard(p.loops, "endwith")
	p.pos++
	return s
}

func (p *parser) printTag(line int) stmt {
	var out printList
	for p.peek().kind != kBlockEnd {
		if len(out) > 0 {
			p.expectOp(",")
		}
		out = append(out, &printStmt{line, p.expression()})
	}
	return out
}

func (p *parser) macroStmt(line int) stmt {
	def := &macroDef{name: p.expect(kName, "the macro's name").text, line: line}
	p.signature(def)
	if i := slices.Index(def.params, "caller"); i >= 0 && i < len(def.params)-len(def.defaults) {
		syntax(line, "the special parameter 'caller' must be omitted or be given a default")
	}
	p.macroBody(def, "endmacro")
	return &macroStmt{def}
}

func (p *parser) callStmt(line int) stmt {
	def := &macroDef{line: line}
	if p.isOp("(") {
		p.signature(def)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		syntax(line, "expected call")
	}
	p.macroBody(def, "endcall")
	return &callStmt{line, def, call}
}

func (p *parser) macroBody(def *macroDef, end string) {
	p.macros = append(p.macros, def)
	def.body = p.hard(0, end)
	p.pos++
	p.macros = p.macros[:len(p.macros)-1]
}

func (p *parser) signature(def *macroDef) {
	p.expectOp("(")
	for !p.isOp(")") {
		if len(def.params) > 0 {
			p.expectOp(",")
		}
		name := p.expect(kName, "a parameter's name")
		if slices.Contains(def.params, name.text) {
			syntax(name.line, "duplicate argument '%s'", name.text)
		}
		def.params = append(def.params, name.text)
		if p.skipOp("=") {
			def.defaults = append(def.defaults, p.expression())
		} else if len(def.defaults) > 0 {
			syntax(name.line, "non-default argument follows default argument")
		}
	}
	p.pos++
}

// target reads what a value is put into: a name, a namespace's attribute, or several of them.
func (p *parser) target(namespaces bool, ends ...string) target {
	line := p.peek().line
	var names []target
	several := false
	for {
		t := p.peek()
		switch {
		case t.kind == kOp && t.text == "(":
			p.pos++
			done := p.enter()
			names = append(names, p.target(namespaces))
			done()
			p.expectOp(")")
		case t.kind == kName && !slices.Contains(ends, t.text):
			names = append(names, p.targetName(namespaces))
		default:
			if len(names) == 0 {
				syntax(t.line, "a name to assign to is expected, got %s", t)
			}
		}
		if !p.skipOp(",") {
			break
		}
		several = true
	}
	if !several {
		return names[0]
	}
	return &tupleTarget{line, names}
}

func (p *parser) targetName(namespaces bool) target {
	t := p.next()
	if namespaces && p.isOp(".") {
		p.pos++
		attr := p.expect(kName, "the attribute's name")
		return &attrTarget{t.line, t.text, attr.text}
	}
	switch t.text {
	case "true", "false", "none", "True", "False", "None":
		syntax(t.line, "can't assign to '%s'", t.text)
	}
	return nameTarget(t.text)
}
