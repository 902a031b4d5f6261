package testdeps

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Schemas invents JSON Schemas of every kind that can be enforced.
type Schemas struct{ *rand.Rand }

// Of is one of the texts.
func (m *Schemas) Of(list ...string) string { return list[m.IntN(len(list))] }

func (m *Schemas) maybe(parts *[]string, format string, args ...any) {
	if m.IntN(2) == 0 {
		*parts = append(*parts, fmt.Sprintf(format, args...))
	}
}

// Object joins members.
func Object(parts []string) string { return "{" + strings.Join(parts, ",") + "}" }

func (m *Schemas) schema(depth int) string {
	if depth <= 0 {
		return m.scalar()
	}
	switch m.IntN(12) {
	case 0, 1, 2:
		return m.object(depth)
	case 3, 4:
		return m.array(depth)
	case 5:
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, m.schema(depth-1), m.schema(depth-1))
	case 6:
		return m.combined(depth)
	case 7:
		return `{"$ref":"#/$defs/node"}`
	default:
		return m.scalar()
	}
}

func (m *Schemas) scalar() string {
	switch m.IntN(10) {
	case 0:
		return m.Of(`{"type":"boolean"}`, `{"type":"null"}`, `true`, `{"const":{"a":[1,"é\n\"",null]}}`, `{"const":1.50}`, `{"type":["string","null"],"maxLength":3}`, `{"type":["integer","boolean"]}`)
	case 1:
		return m.Of(`{"enum":["red","green","blue"]}`, `{"enum":[1,"1",null,[1],{"x":1}]}`, `{"type":"string","enum":["a","ab","abc"]}`, `{"type":"integer","enum":[1,2.0,2.5,"3"]}`)
	case 2, 3:
		return m.number()
	case 4:
		return fmt.Sprintf(`{"type":"string","format":%q}`, m.Of("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "uri-reference", "regex", "idn-email", "json-pointer", "relative-json-pointer"))
	case 5, 6:
		parts := []string{`"type":"string"`, fmt.Sprintf(`"pattern":%q`, m.Of(`^[a-z]+$`, `[0-9]{3}`, `^(foo|bar)-[0-9]{1,4}$`, `x`, `^[^a]*$`, `^.{2,5}$`, `^$|^[A-Z]`, `é+`, `^(?!ab)[a-c]{2,6}$`, `^[\w.+-]+@[a-z]+\.com$`))}
		m.maybe(&parts, `"minLength":%d`, m.IntN(4))
		m.maybe(&parts, `"maxLength":%d`, 4+m.IntN(30))
		return Object(parts)
	}
	parts := []string{`"type":"string"`}
	m.maybe(&parts, `"minLength":%d`, m.IntN(6))
	m.maybe(&parts, `"maxLength":%d`, []int{6, 10, 40, 100000}[m.IntN(4)])
	return Object(parts)
}

func (m *Schemas) number() string {
	kind := m.Of("integer", "number")
	parts := []string{fmt.Sprintf(`"type":%q`, kind)}
	value := func() float64 {
		v := float64(m.IntN(4000)-2000) / []float64{1, 1, 2, 8, 1000}[m.IntN(5)]
		return v * []float64{1, 1, 1e6, 0}[m.IntN(4)]
	}
	lo := value()
	hi := lo + float64(m.IntN(1000))/[]float64{1, 4, 16}[m.IntN(3)] + 1
	m.maybe(&parts, `%q:%s`, m.Of("minimum", "exclusiveMinimum"), strconv.FormatFloat(lo, 'f', -1, 64))
	m.maybe(&parts, `%q:%s`, m.Of("maximum", "exclusiveMaximum"), strconv.FormatFloat(hi, 'f', -1, 64))
	if m.IntN(4) == 0 {
		parts = append(parts, `"multipleOf":`+m.Of("1", "2", "3", "7", "0.5", "0.25", "10"))
	}
	if m.IntN(6) == 0 {
		parts = append(parts, `"not":{"enum":[0,1,-1,2.5]}`)
	}
	return Object(parts)
}

func (m *Schemas) array(depth int) string {
	parts := []string{`"type":"array"`}
	least := m.IntN(3)
	if m.IntN(3) == 0 {
		parts = append(parts, fmt.Sprintf(`"prefixItems":[%s,%s]`, m.schema(depth-1), m.schema(depth-1)))
	}
	parts = append(parts, `"items":`+m.schema(depth-1))
	m.maybe(&parts, `"minItems":%d`, least)
	m.maybe(&parts, `"maxItems":%d`, least+m.IntN(4))
	switch m.IntN(8) {
	case 0:
		return fmt.Sprintf(`{"type":"array","items":{"type":["integer","boolean"]},"contains":{"type":"integer","minimum":%d},"minContains":%d,"maxItems":6}`, m.IntN(9), m.IntN(3))
	case 1:
		return fmt.Sprintf(`{"type":"array","items":{"enum":[1,2,"x",true]},"uniqueItems":true,"minItems":%d}`, m.IntN(4))
	case 2:
		return `{"type":"array","contains":{"const":1},"maxContains":2,"maxItems":5,"items":{"enum":[1,2]}}`
	}
	return Object(parts)
}

func (m *Schemas) object(depth int) string {
	var props, names []string
	for range m.IntN(5) {
		name := m.Of("id", "name", "é", `a\"b`, "x-1", "value") + strconv.Itoa(m.IntN(3))
		if !strings.Contains(strings.Join(names, ","), `"`+name+`"`) {
			names = append(names, `"`+name+`"`)
			props = append(props, `"`+name+`":`+m.schema(depth-1))
		}
	}
	parts := []string{`"type":"object"`, `"properties":` + Object(props)}
	if len(names) > 0 {
		parts = append(parts, `"required":[`+strings.Join(names[:m.IntN(len(names)+1)], ",")+`]`)
		m.maybe(&parts, `"maxProperties":%d`, len(names)+m.IntN(2))
	}
	switch m.IntN(8) {
	case 0:
		parts = append(parts, `"additionalProperties":`+m.schema(depth-1))
	case 1, 2:
		parts = append(parts, `"additionalProperties":false`)
	case 3:
		parts = append(parts, `"patternProperties":{"^x-":`+m.schema(depth-1)+`,"[0-9]$":`+m.schema(0)+`}`)
	case 4:
		parts = append(parts, `"propertyNames":{"maxLength":9}`, `"additionalProperties":true`)
	case 5:
		parts = append(parts, `"minProperties":1`)
	case 6:
		if len(names) > 1 {
			parts = append(parts, fmt.Sprintf(`"dependentRequired":{%s:[%s]}`, names[0], names[1]))
		}
	}
	return Object(parts)
}

func (m *Schemas) combined(depth int) string {
	return m.Of(
		fmt.Sprintf(`{"allOf":[%s,{"properties":{"extra":%s}}]}`, m.object(depth), m.schema(depth-1)),
		fmt.Sprintf(`{"type":"object","oneOf":[{"properties":{"kind":{"const":"a"},"v":%s},"required":["kind","v"]},{"properties":{"kind":{"const":"b"}},"required":["kind"]}]}`, m.schema(depth-1)),
		fmt.Sprintf(`{"oneOf":[{"type":"integer","minimum":%d},{"type":"integer","maximum":%d},{"type":"string"}]}`, m.IntN(9), m.IntN(9)),
		fmt.Sprintf(`{"type":"object","properties":{"mode":{"enum":["x","y"]},"n":{"type":"integer"},"s":%s},"required":["mode"],"if":{"properties":{"mode":{"const":"x"}}},"then":{"required":["n"]},"else":{"required":["s"]}}`, m.schema(depth-1)),
		`{"oneOf":[{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false},{"type":"object","properties":{"b":{"type":"integer"},"a":true},"additionalProperties":false}]}`,
		`{"type":"object","properties":{"a":{"type":"null"}},"not":{"patternProperties":{"^x-":{"type":"integer"}}},"additionalProperties":true}`,
		`{"type":"object","properties":{"zz":true},"not":{"properties":{"a":true},"additionalProperties":{"type":["integer","null"]}},"additionalProperties":{"type":["null","boolean"]}}`,
		`{"type":["integer","string"],"not":{"enum":["","a",3]}}`,
		`{"allOf":[{"type":"number","minimum":3},{"maximum":9},{"multipleOf":0.5}]}`,
		fmt.Sprintf(`{"allOf":[{"properties":{"a":%s},"required":["a"]},{"properties":{"b":{"type":"null"}}}],"type":"object","unevaluatedProperties":false}`, m.schema(depth-1)),
	)
}

// Document is a schema with a recursive definition.
func (m *Schemas) Document() string {
	return fmt.Sprintf(`{"$defs":{"node":{"type":"object","properties":{"leaf":%s,"kids":{"type":"array","items":{"$ref":"#/$defs/node"},"maxItems":2}},"required":["leaf"],"additionalProperties":false}},"allOf":[%s]}`,
		m.scalar(), m.schema(3))
}

// Tool is the parameters of a tool as programs declare them.
func (m *Schemas) Tool() string {
	kinds := []string{
		`{"type":"string"}`, `{"type":"string","description":"What to look for, in the user's own words."}`, `{"type":"string","enum":["low","medium","high"]}`,
		`{"type":"integer","minimum":1,"maximum":100,"default":10}`, `{"type":"number"}`, `{"type":"boolean","description":"Whether to go on."}`,
		`{"type":"string","format":"date-time"}`, `{"type":"string","format":"email"}`, `{"type":"string","pattern":"^[A-Z]{2}-[0-9]{4}$"}`,
		`{"type":"array","items":{"type":"string"}}`, `{"type":"array","items":{"type":"number"},"minItems":1,"maxItems":5}`,
		`{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"title":"Note"}`, `{"type":["integer","null"]}`,
		`{"type":"object","properties":{"lat":{"type":"number","minimum":-90,"maximum":90},"lon":{"type":"number","minimum":-180,"maximum":180}},"required":["lat","lon"],"additionalProperties":false}`,
		`{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"quantity":{"type":"integer","minimum":1}},"required":["name","quantity"]}}`,
		`{"$ref":"#/$defs/Address"}`, `{"type":"object","additionalProperties":{"type":"string"}}`,
	}
	names := []string{"query", "city", "limit", "filter", "start_date", "end_date", "user_id", "priority", "notes", "items", "location", "language", "max_results", "email", "path", "options"}
	m.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:2+m.IntN(5)]
	var props, required []string
	for _, name := range names {
		props = append(props, fmt.Sprintf("%q:%s", name, m.Of(kinds...)))
		if m.IntN(3) > 0 {
			required = append(required, strconv.Quote(name))
		}
	}
	return fmt.Sprintf(`{"$defs":{"Address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"},"zip":{"type":"string","maxLength":10}},"required":["city"]}},"type":"object","properties":%s,"required":[%s],"additionalProperties":false}`,
		Object(props), strings.Join(required, ","))
}
