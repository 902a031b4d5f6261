package jinja

// Expressions, from the loosest binding to the tightest: if-else, or, and, not, comparisons, + -,
// ~, * / // %, **, signs, then calls, subscripts, filters and tests.

// maxChain bounds one chain of operators, filters or subscripts: it becomes a tree of that depth.
const maxChain = 1000

func (p *parser) chain(n int) int {
	if n >= maxChain {
		panic(failure{ErrLimit.Because("jinja: line %d: more than %d operators in one chain", p.peek().line, maxChain)})
	}
	return n + 1
}

// tuple reads an expression, or several with commas between. Where empty is true, so may the tuple be.
func (p *parser) tuple(conditional, empty bool, ends ...string) expr {
	var items tupleExpr
	for {
		t := p.peek()
		if t.kind == kPrintEnd || t.kind == kBlockEnd || t.kind == kEOF || p.isOp(")") {
			break
		}
		if len(ends) > 0 && p.isName(ends[0]) {
			break
		}
		if conditional {
			items = append(items, p.expression())
		} else {
			items = append(items, p.or())
		}
		if !p.isOp(",") {
			if len(items) == 1 {
				return items[0]
			}
			return items
		}
		p.pos++
	}
	if len(items) == 0 && !empty {
		syntax(p.peek().line, "expected an expression, got %s", p.peek())
	}
	return items
}

func (p *parser) expression() expr {
	defer p.enter()()
	first := len(p.unknown)
	e := p.or()
	for n := 0; p.isName("if"); n = p.chain(n) {
		c := &condExpr{line: p.next().line, then: e}
		c.test = p.or()
		if p.skipName("else") {
			c.otherwise = p.expression()
		}
		for i := first; i < len(p.unknown); i++ {
			p.unknown[i].soft = true
		}
		e = c
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for n := 0; p.skipName("or"); n = p.chain(n) {
		e = &orExpr{e, p.and()}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for n := 0; p.skipName("and"); n = p.chain(n) {
		e = &andExpr{e, p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if !p.skipName("not") {
		return p.comparison()
	}
	defer p.enter()()
	return &notExpr{p.not()}
}

func (p *parser) comparison() expr {
	first := p.sum()
	c := &compareExpr{line: p.peek().line, first: first}
	for {
		t := p.peek()
		op := ""
		switch {
		case t.kind == kOp && (t.text == "==" || t.text == "!=" || t.text == "<" || t.text == "<=" || t.text == ">" || t.text == ">="):
			op = t.text
		case p.isName("in"):
			op = "in"
		case p.isName("not") && p.ahead().kind == kName && p.ahead().text == "in":
			op = "not in"
			p.pos++
		default:
			if len(c.ops) == 0 {
				return first
			}
			return c
		}
		p.pos++
		p.chain(len(c.ops))
		c.ops = append(c.ops, op)
		c.rest = append(c.rest, p.sum())
	}
}

// binary reads a chain of left-associative operators.
func (p *parser) binary(operand func() expr, ops ...string) expr {
	e := operand()
	for n := 0; ; n = p.chain(n) {
		t := p.peek()
		found := false
		for _, op := range ops {
			found = found || t.kind == kOp && t.text == op
		}
		if !found {
			return e
		}
		p.pos++
		e = &binaryExpr{t.line, t.text, e, operand()}
	}
}

func (p *parser) sum() expr     { return p.binary(p.concat, "+", "-") }
func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.binary(func() expr { return p.unary(true) }, "**") }

func (p *parser) concat() expr {
	e := p.product()
	if !p.isOp("~") {
		return e
	}
	all := concatExpr{e}
	for p.skipOp("~") {
		all = append(all, p.product())
	}
	return all
}

func (p *parser) unary(filters bool) expr {
	var e expr
	if t := p.peek(); p.isOp("-") || p.isOp("+") {
		done := p.enter()
		p.pos++
		e = &signExpr{t.line, t.text, p.unary(false)}
		done()
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	for n := 0; filters; n = p.chain(n) {
		switch {
		case p.isOp("|"):
			e = p.filters(e, false)
		case p.isName("is"):
			e = p.test(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case kName:
		switch t.text {
		case "true", "True":
			return constExpr{Bool(true)}
		case "false", "False":
			return constExpr{Bool(false)}
		case "none", "None":
			return constExpr{None{}}
		case "caller", "varargs", "kwargs":
			p.catch(t.text)
		}
		return &nameExpr{t.line, t.text}
	case kString:
		text := t.text
		for p.peek().kind == kString {
			text += p.next().text
		}
		return constExpr{String(text)}
	case kInt:
		v, ok := readInt(t.text, 0)
		if !ok {
			syntax(t.line, "the integer %.20s is not readable", t.text)
		}
		return constExpr{v}
	case kFloat:
		f, ok := parseFloat(t.text)
		if !ok {
			syntax(t.line, "the number %.20s is not readable", t.text)
		}
		return constExpr{Float(f)}
	case kOp:
		defer p.enter()()
		switch t.text {
		case "(":
			e := p.tuple(true, true)
			p.expectOp(")")
			return e
		case "[":
			return listExpr(p.items("]", p.expression))
		case "{":
			return p.dict(t.line)
		}
	}
	syntax(t.line, "unexpected %s", t)
	return nil
}

// catch notes that the macros around this place take what callers give beyond their parameters.
func (p *parser) catch(name string) {
	for _, m := range p.macros {
		switch name {
		case "caller":
			m.caller = true
		case "varargs":
			m.varargs = true
		case "kwargs":
			m.kwargs = true
		}
	}
}

// items reads expressions with commas between, up to the end sign, which it consumes.
func (p *parser) items(end string, read func() expr) []expr {
	out := []expr{}
	for !p.skipOp(end) {
		if len(out) > 0 {
			p.expectOp(",")
			if p.skipOp(end) {
				return out
			}
		}
		out = append(out, read())
	}
	return out
}

func (p *parser) dict(line int) expr {
	d := &dictExpr{line: line}
	p.items("}", func() expr {
		d.keys = append(d.keys, p.expression())
		p.expectOp(":")
		d.values = append(d.values, p.expression())
		return nil
	})
	return d
}

func (p *parser) postfix(e expr) expr {
	for n := 0; ; n = p.chain(n) {
		t := p.peek()
		switch {
		case p.skipOp("."):
			name := p.next()
			switch name.kind {
			case kName:
				e = &attrExpr{t.line, e, name.text}
			case kInt:
				v, _ := readInt(name.text, 0)
				e = &itemExpr{t.line, e, constExpr{v}}
			default:
				syntax(name.line, "expected name or number, got %s", name)
			}
		case p.isOp("["):
			e = p.subscript(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
	}
}

func (p *parser) subscript(of expr) expr {
	defer p.enter()()
	line := p.next().line
	if p.isOp("]") {
		syntax(line, "a subscript is missing")
	}
	var first expr
	if !p.isOp(":") {
		first = p.expression()
	}
	if !p.isOp(":") {
		if p.isOp(",") {
			items := tupleExpr{first}
			for p.skipOp(",") {
				items = append(items, p.expression())
			}
			first = items
		}
		p.expectOp("]")
		return &itemExpr{line, of, first}
	}
	s := &sliceExpr{line: line, of: of, bounds: [3]expr{first}}
	for i := 1; i < 3 && p.skipOp(":"); i++ {
		if !p.isOp(":") && !p.isOp("]") {
			s.bounds[i] = p.expression()
		}
	}
	p.expectOp("]")
	return s
}

func (p *parser) call(fn expr) expr {
	t := p.peek()
	return &callExpr{t.line, fn, p.arguments()}
}

func (p *parser) arguments() *argList {
	defer p.enter()()
	line := p.expectOp("(").line
	a := &argList{}
	p.items(")", func() expr {
		t := p.peek()
		switch {
		case p.skipOp("*"):
			p.ensure(line, a.star == nil && a.starStar == nil)
			a.star = p.expression()
		case p.skipOp("**"):
			p.ensure(line, a.starStar == nil)
			a.starStar = p.expression()
		case t.kind == kName && p.ahead().kind == kOp && p.ahead().text == "=":
			p.ensure(line, a.starStar == nil)
			p.pos += 2
			for _, n := range a.names {
				if n == t.text {
					syntax(line, "keyword argument repeated: %s", n)
				}
			}
			a.names = append(a.names, t.text)
			a.named = append(a.named, p.expression())
		default:
			p.ensure(line, a.star == nil && a.starStar == nil && len(a.names) == 0)
			a.plain = append(a.plain, p.expression())
		}
		return nil
	})
	return a
}

func (p *parser) ensure(line int, ok bool) {
	if !ok {
		syntax(line, "invalid syntax for function call expression")
	}
}

// dotted reads the name of a filter or a test.
func (p *parser) dotted() token {
	t := p.expect(kName, "a name")
	for p.skipOp(".") {
		t.text += "." + p.expect(kName, "a name").text
	}
	return t
}

// filters reads |a|b(c) behind e; inline says that the first has no bar in front.
func (p *parser) filters(e expr, inline bool) expr {
	for n := 0; inline || p.skipOp("|"); n = p.chain(n) {
		inline = false
		t := p.dotted()
		f := &filterExpr{line: t.line, of: e, name: t.text, fn: filterNamed(t.text), args: &argList{}}
		if f.fn == nil {
			p.unknown = append(p.unknown, unknownName{t.line, "no filter named '" + t.text + "'", p.soft})
		}
		if p.isOp("(") {
			f.args = p.arguments()
		}
		e = f
	}
	return e
}

func (p *parser) test(e expr) expr {
	p.pos++
	negated := p.skipName("not")
	t := p.dotted()
	c := &testExpr{line: t.line, of: e, name: t.text, fn: testNamed(t.text), args: &argList{}}
	if c.fn == nil {
		p.unknown = append(p.unknown, unknownName{t.line, "no test named '" + t.text + "'", p.soft})
	}
	next := p.peek()
	switch {
	case p.isOp("("):
		c.args = p.arguments()
	case next.kind == kString || next.kind == kInt || next.kind == kFloat || p.isOp("[") || p.isOp("{"),
		next.kind == kName && next.text != "else" && next.text != "or" && next.text != "and":
		if p.isName("is") {
			syntax(next.line, "you cannot chain multiple tests with is")
		}
		c.args.plain = []expr{p.postfix(p.primary())}
	}
	if negated {
		return &notExpr{c}
	}
	return c
}
