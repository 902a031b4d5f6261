package gemini

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
)

// member is a name of an object with its value.
type member struct {
	name  string
	value json.RawMessage
}

// members are an object's, in their order.
func members(at string, raw json.RawMessage) ([]member, error) {
	if isNull(raw) || raw[0] != '{' {
		return nil, invalid(at, "%s must be an object", at)
	}
	var out []member
	d := json.NewDecoder(bytes.NewReader(raw))
	_, err := d.Token() // {
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		m := member{name: name.(string)} //nolint:forcetypeassert // a key
		err = d.Decode(&m.value)
		out = append(out, m)
	}
	if err != nil {
		return nil, api.ErrBody.Because("gemini: %s cannot be read: %w", at, err).At(at)
	}
	return out, nil
}

// object writes members in their order.
func object(all []member) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.name) // a string: cannot fail
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// schemaReader reads one level of a schema in Google's form (OpenAPI's, with types in capitals, nullable
// and numbers that may be strings) into JSON Schema.
type schemaReader struct {
	at       string
	out      []member
	order    []string
	nullable bool
	enum     int // where in out it is, -1: nowhere
	kind     int // the same for type
}

const maxSchema = 1 << 20 // bytes of a schema: every level is read once more

// openAPI is a schema as JSON Schema. The order of properties stays, or is the one that
// propertyOrdering says.
func openAPI(at string, raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) > maxSchema {
		return nil, invalid(at, "%s has %d bytes: at most %d are possible", at, len(raw), maxSchema)
	}
	all, err := members(at, raw)
	if err != nil {
		return nil, err
	}
	r := schemaReader{at: at, enum: -1, kind: -1}
	for _, m := range all {
		if string(m.value) == "null" {
			continue
		}
		if err := r.member(camelName(m.name), m.value); err != nil {
			return nil, err
		}
	}
	r.arrange()
	r.orNull()
	return object(r.out), nil
}

func (r *schemaReader) member(name string, value json.RawMessage) (err error) {
	at := r.at + "." + name
	switch name {
	case "type":
		r.kind = len(r.out)
		value, err = schemaType(at, value)
	case "nullable":
		return api.Decode(at, value, &r.nullable, false)
	case "propertyOrdering":
		return api.Decode(at, value, &r.order, false)
	case "format":
		if !strings.Contains(`"date-time""date""time""duration""email""uuid""uri""ipv4""ipv6""hostname"`, string(value)) {
			return nil // int32, double, enum: how a number is stored
		}
	case "example", "title":
		return nil
	case "enum":
		r.enum = len(r.out)
	case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
		value = bytes.Trim(value, `"`) // 64-bit numbers are strings in protobuf's JSON
		if !json.Valid(value) {
			return invalid(at, "%s must be a number", at)
		}
	case "items", "additionalProperties":
		if value[0] == '{' {
			value, err = openAPI(at, value)
		}
	case "properties", "defs", "$defs":
		value, err = eachSchema(at, value)
	case "anyOf", "prefixItems":
		value, err = listOfSchemas(at, value)
	case "ref":
		name, value = "$ref", bytes.Replace(value, []byte("#/defs/"), []byte("#/$defs/"), 1)
	}
	if name == "defs" {
		name = "$defs"
	}
	r.out = append(r.out, member{name, value})
	return err
}

// schemaType is a type's name as JSON Schema writes it.
func schemaType(at string, value json.RawMessage) (json.RawMessage, error) {
	var name string
	if value[0] == '[' { // JSON Schema already
		return value, nil
	}
	if err := api.Decode(at, value, &name, false); err != nil {
		return nil, err
	}
	switch name = strings.ToLower(name); name {
	case "string", "number", "integer", "boolean", "array", "object", "null":
		return json.Marshal(name)
	}
	return nil, invalid(at, "%s is %q: it must be STRING, NUMBER, INTEGER, BOOLEAN, ARRAY, OBJECT or NULL", at, name)
}

func eachSchema(at string, raw json.RawMessage) (json.RawMessage, error) {
	all, err := members(at, raw)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].value, err = openAPI(at+"."+all[i].name, all[i].value); err != nil {
			return nil, err
		}
	}
	return object(all), nil
}

func listOfSchemas(at string, raw json.RawMessage) (json.RawMessage, error) {
	var all []json.RawMessage
	if err := api.Decode(at, raw, &all, false); err != nil {
		return nil, err
	}
	for i := range all {
		var err error
		if all[i], err = openAPI(fmt.Sprintf("%s[%d]", at, i), all[i]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// arrange puts the properties into the order that was asked for; those that it does not name follow.
func (r *schemaReader) arrange() {
	if len(r.order) == 0 {
		return
	}
	for i, m := range r.out {
		if m.name != "properties" {
			continue
		}
		all, err := members(r.at, m.value)
		if err != nil { // it was written above
			return
		}
		rank := func(m member) int {
			if at := slices.Index(r.order, m.name); at >= 0 {
				return at
			}
			return len(r.order)
		}
		slices.SortStableFunc(all, func(a, b member) int { return rank(a) - rank(b) })
		r.out[i].value = object(all)
	}
}

// orNull lets the value be null too.
func (r *schemaReader) orNull() {
	if !r.nullable {
		return
	}
	if r.kind < 0 {
		r.out = []member{{"anyOf", json.RawMessage(`[` + string(object(r.out)) + `,{"type":"null"}]`)}}
		return
	}
	if r.out[r.kind].value[0] == '"' {
		r.out[r.kind].value = json.RawMessage(`[` + string(r.out[r.kind].value) + `,"null"]`)
	}
	if r.enum < 0 {
		return
	}
	var all []json.RawMessage
	if json.Unmarshal(r.out[r.enum].value, &all) == nil { // what is no list is refused with the schema
		r.out[r.enum].value, _ = json.Marshal(append(all, json.RawMessage("null"))) // valid before: cannot fail
	}
}
