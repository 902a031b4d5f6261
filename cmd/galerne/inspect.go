package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jinja"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
)

// inspectCmd shows what happens inside. docs/inspect.md has the stable formats.
type inspectCmd struct {
	Tokens     inspectTokensCmd     `cmd:"" help:"Which tokens a text is: text on standard input, JSON on standard output."`
	Prompt     inspectPromptCmd     `cmd:"" help:"What text a model reads for a conversation: JSON on standard input, the exact text on standard output."`
	Logits     inspectLogitsCmd     `cmd:"" help:"What a model thinks of every possible next token."`
	Divergence inspectDivergenceCmd `cmd:"" help:"What rounding a model's weights costs: how far its expectations are from the exact model's, over a text on standard input."`
	Weights    inspectWeightsCmd    `cmd:"" help:"Which tensors and metadata a model's files have."`
}

// errInput: what was given to inspect cannot be read.
var errInput = fault.New(fault.Invalid, "invalid_input", "the input cannot be read")

// maxInput bounds what is read from standard input.
const maxInput = 64 << 20

// readInput reads all of standard input, which must be UTF-8.
func (a *app) readInput(what string) ([]byte, error) {
	if isTerminal(a.in) {
		a.say("Reading %s from the terminal: end it with Ctrl-D on a line of its own.", what)
	}
	text, err := io.ReadAll(io.LimitReader(a.in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if len(text) > maxInput {
		return nil, errInput.Because("standard input has more than %d bytes: give %s in smaller parts", maxInput, what)
	}
	if at := invalidAt(text); at >= 0 {
		line, column := place(text, at)
		return nil, errInput.Because("standard input is not UTF-8: byte 0x%02x at line %d, column %d (byte %d) begins no character", text[at], line, column, at)
	}
	return text, nil
}

// invalidAt is where text stops being UTF-8, -1 if it never does.
func invalidAt(text []byte) int {
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

// place is the line and the column, in characters from 1, of a byte.
func place(text []byte, at int) (line, column int) {
	before := text[:at]
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// vocabulary is a model's tokens, with the special ones by the names that chat templates know.
type vocabulary struct {
	*tokenizer.Tokenizer
	special map[string]string // bos_token, eos_token, ...
}

// openVocabulary reads no weights: a folder needs only the tokenizer's files.
func (a *app) openVocabulary(model string) (*vocabulary, error) {
	h, err := a.hub()
	if err != nil {
		return nil, err
	}
	r, err := h.Resolve(model)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(r.Path); err == nil && st.IsDir() {
		t, err := tokenizer.OpenFolder(r.Path)
		if err != nil {
			return nil, err
		}
		config, err := os.ReadFile(filepath.Join(r.Path, "tokenizer_config.json"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return &vocabulary{t, specialOfConfig(t, config)}, nil
	}
	f, err := weights.Open(r.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := prompt.Tokenizer(f)
	if err != nil {
		return nil, err
	}
	if f.Format == weights.GGUF {
		return &vocabulary{t, specialOfMeta(t, f.Meta)}, nil
	}
	return &vocabulary{t, specialOfConfig(t, f.TokenizerConfig)}, nil
}

// specialOfMeta finds what a GGUF file calls special. GGUF misspells the separator.
func specialOfMeta(t *tokenizer.Tokenizer, meta weights.Meta) map[string]string {
	out := map[string]string{}
	for name, key := range map[string]string{"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "cls": "cls", "mask": "mask"} {
		if id, ok := meta.Int("tokenizer.ggml." + key + "_token_id"); ok && id >= 0 && id < int64(t.Size()) {
			out[name+"_token"] = t.Token(int32(id))
		}
	}
	return out
}

// specialOfConfig finds what tokenizer_config.json calls special: a text, or an object with its content.
// Without that file, begin and end are the tokenizer's.
func specialOfConfig(t *tokenizer.Tokenizer, config []byte) map[string]string {
	out := map[string]string{}
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) != nil {
		if id, ok := t.BOS(); ok {
			out["bos_token"] = t.Token(id)
		}
		if id, ok := t.EOS(); ok {
			out["eos_token"] = t.Token(id)
		}
		return out
	}
	for _, name := range []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"} {
		var text string
		var object struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(fields[name], &text) == nil && text != "" {
			out[name] = text
		} else if json.Unmarshal(fields[name], &object) == nil && object.Content != "" {
			out[name] = object.Content
		}
	}
	return out
}

type inspectTokensCmd struct {
	Model        string `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	AddSpecial   bool   `help:"Put the model's own tokens around the text: begin, end, separator."`
	ParseSpecial bool   `help:"Find the names of special tokens in the text (<|im_start|>)."`
}

func (c *inspectTokensCmd) Run(a *app) error {
	v, err := a.openVocabulary(c.Model)
	if err != nil {
		return err
	}
	text, err := a.readInput("the text")
	if err != nil {
		return err
	}
	out := struct {
		IDs    []int32 `json:"ids"`
		Pieces []any   `json:"pieces"`
	}{IDs: []int32{}, Pieces: []any{}}
	out.IDs = v.Encode(out.IDs, string(text), tokenizer.EncodeOptions{AddSpecial: c.AddSpecial, ParseSpecial: c.ParseSpecial})
	for _, id := range out.IDs {
		out.Pieces = append(out.Pieces, pieceJSON(v.Piece(id)))
	}
	return a.printLine(out)
}

// pieceJSON is what a token decodes to: text, or a list of byte values where it is part of a character.
func pieceJSON(piece []byte) any {
	if utf8.Valid(piece) {
		return string(piece)
	}
	values := make([]int, len(piece))
	for i, b := range piece {
		values[i] = int(b)
	}
	return values
}

// printLine writes one JSON value in one line.
func (a *app) printLine(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type inspectPromptCmd struct {
	Model    string `arg:"" optional:"" help:"A catalogue name, a .gguf file or a folder of safetensors; may be left out with --template."`
	Template string `help:"Use the chat template in this file in place of the model's." placeholder:"FILE" type:"path"`
}

func (c *inspectPromptCmd) Run(a *app) error {
	if c.Model == "" && c.Template == "" {
		return errInput.Because("whose prompt? Name a MODEL, or a template with --template FILE")
	}
	v := &vocabulary{}
	if c.Model != "" {
		var err error
		if v, err = a.openVocabulary(c.Model); err != nil {
			return err
		}
	}
	text, err := a.readInput("a JSON conversation")
	if err != nil {
		return err
	}
	vars, err := promptVars(text, v.special)
	if err != nil {
		return err
	}
	source, err := c.source(v, vars)
	if err != nil {
		return err
	}
	template, err := jinja.Parse(source, jinja.Options{})
	if err != nil {
		return err
	}
	rendered, err := template.Render(vars)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out, rendered)
	return err
}

// maxTemplate is what jinja reads at most; one byte more is its error to tell.
const maxTemplate = 1<<20 + 1

// source is the chat template: of the file, or of the model (that for tools where there are tools, as
// transformers chooses it).
func (c *inspectPromptCmd) source(v *vocabulary, vars *jinja.Map) (string, error) {
	if c.Template != "" {
		f, err := os.Open(c.Template)
		if err != nil {
			return "", errInput.Because("the template: %w", err)
		}
		defer f.Close()
		source, err := io.ReadAll(io.LimitReader(f, maxTemplate))
		if err != nil {
			return "", errInput.Because("the template: %w", err)
		}
		if at := invalidAt(source); at >= 0 && len(source) < maxTemplate {
			return "", errInput.Because("the template %s is not UTF-8 at byte %d", c.Template, at)
		}
		return string(source), nil
	}
	if tools, _ := vars.Get("tools"); tools != (jinja.None{}) {
		if source, ok := v.ChatTemplate("tool_use"); ok {
			return source, nil
		}
	}
	source, ok := v.ChatTemplate("")
	if !ok {
		return "", errInput.Because("%s has no chat template: give one with --template FILE", c.Model)
	}
	return source, nil
}

// promptVars makes a template's variables of a JSON conversation, as transformers' apply_chat_template
// does of its arguments; special tokens come first, so that "vars" can replace them.
func promptVars(text []byte, special map[string]string) (*jinja.Map, error) {
	fields, err := jsonFields(text)
	if err != nil {
		return nil, err
	}
	known := []string{"messages", "tools", "documents", "add_generation_prompt", "vars"}
	for name := range fields {
		if !slices.Contains(known, name) {
			return nil, errInput.Because("the conversation's field %q is not known: %s are; what the template itself reads goes into \"vars\"", name, strings.Join(known, ", "))
		}
	}
	vars := jinja.NewMap()
	for name, token := range special {
		vars.Set(name, jinja.String(token))
	}
	if err := moreVars(vars, fields["vars"]); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name, wanted string
		fits         func(jinja.Value) bool
		otherwise    jinja.Value
	}{
		{"messages", "a list of objects, with at least one", func(v jinja.Value) bool { l, ok := objects(v); return ok && l > 0 }, nil},
		{"tools", "a list of objects, or null", func(v jinja.Value) bool { _, ok := objects(v); return ok || v == jinja.None{} }, jinja.None{}},
		{"documents", "a list of objects, or null", func(v jinja.Value) bool { _, ok := objects(v); return ok || v == jinja.None{} }, jinja.None{}},
		{"add_generation_prompt", "true or false", func(v jinja.Value) bool { _, ok := v.(jinja.Bool); return ok }, jinja.Bool(false)},
	} {
		v := f.otherwise
		if raw := fields[f.name]; raw != nil {
			if v, err = jinja.FromJSON(raw); err != nil {
				return nil, err
			}
		}
		if v == nil || !f.fits(v) {
			return nil, errInput.Because("the conversation's \"%s\" must be %s", f.name, f.wanted)
		}
		vars.Set(f.name, v)
	}
	return vars, nil
}

// objects is the length of a list of objects.
func objects(v jinja.Value) (int, bool) {
	list, ok := v.(jinja.List)
	for _, e := range list {
		if _, object := e.(*jinja.Map); !object {
			return 0, false
		}
	}
	return len(list), ok
}

// moreVars adds what the template reads beside the conversation.
func moreVars(vars *jinja.Map, raw json.RawMessage) error {
	if raw == nil || string(raw) == "null" {
		return nil
	}
	var more map[string]json.RawMessage
	if json.Unmarshal(raw, &more) != nil {
		return errInput.Because("the conversation's \"vars\" must be an object")
	}
	for name, raw := range more {
		switch name {
		case "messages", "tools", "documents", "add_generation_prompt":
			return errInput.Because("\"vars\" has %q, which is a field beside \"vars\"", name)
		}
		v, err := jinja.FromJSON(raw)
		if err != nil {
			return err
		}
		vars.Set(name, v)
	}
	return nil
}

// jsonFields reads one JSON object; errors say the line and the column.
func jsonFields(text []byte) (map[string]json.RawMessage, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errInput.Because("standard input is empty: it takes a JSON conversation such as {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}")
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := place(text, min(max(int(syntax.Offset)-1, 0), len(text)))
		return nil, errInput.Because("standard input is not JSON: line %d, column %d: %w", line, column, err)
	case err != nil || fields == nil:
		return nil, errInput.Because("standard input must be a JSON object with \"messages\"")
	}
	if at := loneSurrogate(text); at >= 0 {
		line, column := place(text, at)
		return nil, errInput.Because("line %d, column %d: %s is half a character: no text has it", line, column, text[at:at+6])
	}
	return fields, nil
}

// loneSurrogate is where valid JSON has a \u escape of half a character without its other half, -1 if
// nowhere.
func loneSurrogate(text []byte) int {
	unit := func(at int) (rune, bool) {
		var n rune
		if at+6 > len(text) || text[at] != '\\' || text[at+1] != 'u' {
			return 0, false
		}
		_, err := fmt.Sscanf(string(text[at+2:at+6]), "%04x", &n)
		return n, err == nil
	}
	for at := 0; at < len(text); at++ {
		if text[at] != '\\' {
			continue
		}
		first, ok := unit(at)
		switch {
		case !ok:
			at++ // the escaped character
		case first >= 0xd800 && first < 0xdc00:
			if second, ok := unit(at + 6); !ok || second < 0xdc00 || second > 0xdfff {
				return at
			}
			at += 11
		case first >= 0xdc00 && first < 0xe000:
			return at
		default:
			at += 5
		}
	}
	return -1
}
