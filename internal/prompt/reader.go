package prompt

import (
	"crypto/rand"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// Piece is a stretch of an answer. Pieces of one block follow each other; Begins marks the first of a
// block, which may have no text yet.
type Piece struct {
	Kind   chat.BlockKind
	Begins bool
	Call   *chat.Call // of the first piece of a CallBlock
	Text   string
}

// Reader turns one answer's tokens into pieces: text, reasoning and tool calls. It never gives out half
// a character, and what is malformed stays text. Calls are looked for only if the request offers
// tools. The pieces do not depend on where the tokens cut the text.
//
// What may be the beginning of a mark is held until it is known; so is blank space that may turn out
// to stand before a mark, where it belongs to the form and not to the text.
type Reader struct {
	f       *Format
	decoder *tokenizer.Decoder
	tools   map[string]*chat.Tool // by name; nil: calls are not looked for
	form    *CallForm             // of an answer that a grammar forces to call; nil: it may call
	single  bool                  // one call at most
	formed  bool                  // the answer is text of a form or calls, never both
	unheld  bool                  // no grammar holds calls without a mark
	state   state
	held    string // read and not given out
	over    bool   // nothing comes behind held
	short   bool   // and that is because the answer was cut

	open   bool // a block is open, of this kind
	kind   chat.BlockKind
	begun  bool // text or a call was given out
	called bool // a call was
	fenced bool // the last that was given out is a call in a block of code, behind which may stand another
	skip   bool // newlines at the beginning of what comes belong to a mark
	call   callState
	opener string // the mark of the call under way, for giving it back as text
	bare   bool   // the call under way has no mark of its family
	newID  func() string
	out    []Piece
}

// state is where in the form of an answer the reader is.
type state uint8

const (
	inText      state = iota
	inThinking        // up to the end mark
	inHead            // behind a call's mark, up to its arguments
	inArguments       // in a JSON object
	inTail            // behind it, up to the next call or the end of calls
	inValues          // in the arguments of a form that is no JSON
	inPlain           // in one of them that is a text
	inWhole           // in a call that can be understood only when it is whole
)

// NewReader begins an answer to a request that Render made a prompt of.
func (f *Format) NewReader(r *chat.Request, p *Prompt) *Reader {
	rd := &Reader{f: f, decoder: f.tokens.NewDecoder(false), newID: f.newID}
	if r.Raw == nil {
		if tools := offered(r); len(tools) > 0 && f.family.syntax != none {
			rd.offer(tools)
			if form, ok := f.CallForm(); ok && r.ToolChoice.Must() {
				rd.form = &form
			}
			rd.single = r.OneCall()
			rd.formed = r.Format.Kind != chat.AnyText && rd.form == nil
			rd.unheld = rd.formed
		}
		if p != nil && p.thinking {
			rd.state, rd.skip = inThinking, true
		}
	}
	rd.begun = r.Raw != nil
	return rd
}

func (r *Reader) offer(tools []chat.Tool) {
	r.tools = map[string]*chat.Tool{}
	for i := range tools {
		r.tools[tools[i].Name] = &tools[i]
	}
}

func (f *Format) newID() string {
	if f.family.shortIDs {
		return rand.Text()[:9]
	}
	return "call_" + strings.ToLower(rand.Text()[:20])
}

// Add takes the next token. The pieces are valid until the next call.
func (r *Reader) Add(id int32) []Piece {
	r.out = r.out[:0]
	if r.f.tokens.Special(id) && !r.f.family.marks[id] {
		return r.out
	}
	r.feed(string(r.decoder.Append(id)))
	return r.out
}

// Flush ends the answer: by itself, or because it was cut short.
func (r *Reader) Flush(short bool) []Piece {
	r.out = r.out[:0]
	r.end(string(r.decoder.Flush()), short)
	return r.out
}

func (r *Reader) end(text string, short bool) {
	r.held += text
	r.over, r.short = true, short
	if short && r.form != nil {
		r.forced()
	}
	r.feed("")
}

func (r *Reader) feed(text string) {
	r.held += text
	for r.step() {
	}
}

// step works on what is held, and reports whether there may be more to do without more text.
func (r *Reader) step() bool {
	switch r.state {
	case inThinking:
		return r.thinking()
	case inHead:
		return r.head()
	case inArguments:
		return r.arguments()
	case inTail:
		return r.tail()
	case inValues:
		return r.values()
	case inPlain:
		return r.plain()
	case inWhole:
		return r.whole()
	}
	return r.text()
}

// give adds text to the open block of a kind, or begins one.
func (r *Reader) give(kind chat.BlockKind, text string) {
	if r.skip {
		if text = strings.TrimLeft(text, "\n"); text == "" {
			return
		}
		r.skip = false
	}
	if text == "" {
		return
	}
	begins := !r.open || r.kind != kind
	r.open, r.kind, r.begun, r.fenced = true, kind, r.begun || kind != chat.ThinkingBlock, false
	r.out = append(r.out, Piece{Kind: kind, Begins: begins, Text: text})
}

// giveCall begins a block for a call.
func (r *Reader) giveCall(name, id string) {
	if id == "" {
		id = r.newID()
	}
	r.open, r.kind, r.begun, r.called, r.skip, r.fenced = true, chat.CallBlock, true, true, false, r.inFence()
	r.out = append(r.out, Piece{Kind: chat.CallBlock, Begins: true, Call: &chat.Call{ID: id, Name: name}})
}

func (r *Reader) giveArguments(text string) {
	if text != "" {
		r.out = append(r.out, Piece{Kind: chat.CallBlock, Text: text})
	}
}

// to goes to another state; the block under way is complete.
func (r *Reader) to(s state) {
	r.state, r.open = s, false
}

// text is plain text up to a mark.
func (r *Reader) text() bool {
	think, trigger := r.f.family.think.open, ""
	marked := r.called && !r.bare // behind such a call a grammar allows only calls
	if r.tools != nil && !(r.formed && r.begun && !marked) && !(r.single && r.called) {
		trigger = r.f.family.syntax.trigger()
	}
	if r.bareCall() {
		return true
	}
	at, mark := len(r.held), ""
	for _, m := range []string{think, trigger} {
		if m == "" {
			continue
		}
		if i := strings.Index(r.held, m); i >= 0 && i < at {
			at, mark = i, m
		}
	}
	if mark != "" {
		before := strings.TrimRight(r.held[:at], blank)
		if before != "" && r.formed && mark == trigger { // the form's own text
			r.give(chat.TextBlock, r.held[:at])
			r.held = r.held[at:]
			return true
		}
		r.give(chat.TextBlock, before)
		r.opener, r.bare = r.held[len(before):at+len(mark)], false
		r.held = r.held[at+len(mark):]
		if mark == think {
			r.to(inThinking)
			r.skip = true
		} else {
			r.begin()
		}
		return true
	}
	keep := 0
	if !r.over {
		keep = max(partial(r.held, think), partial(r.held, trigger))
		free := r.held[:len(r.held)-keep]
		if think != "" || trigger != "" {
			keep = len(r.held) - len(strings.TrimRight(free, blank))
		}
		if _, ok := r.bareMay(); ok {
			keep = len(r.held)
		}
	}
	r.give(chat.TextBlock, r.held[:len(r.held)-keep])
	r.held = r.held[len(r.held)-keep:]
	return false
}

// partial is the length of the longest end of text that a mark begins with.
func partial(text, mark string) int {
	for n := min(len(mark)-1, len(text)); n > 0; n-- {
		if strings.HasSuffix(text, mark[:n]) {
			return n
		}
	}
	return 0
}

// fences may stand around a call without a mark.
var fences = []string{"```json", "```"}

// bareMay reports whether the answer, of which no text was given out, or only calls in blocks of code, may begin
// a call without the family's mark: Llama's models write them so, and small models of others forget the mark or
// write a block of code for each call. Only a tool that the request offers is called so. Size is what stands before
// the object; it is -1 where the object may still come.
func (r *Reader) bareMay() (size int, ok bool) {
	if s := r.f.family.syntax; r.tools == nil || s != llama && s != hermes || r.begun && (!r.fenced || r.formed || r.single) {
		return 0, false
	}
	text := strings.TrimLeft(r.held, blank)
	for _, fence := range fences {
		if rest, fenced := strings.CutPrefix(text, fence); fenced {
			text = strings.TrimLeft(rest, blank)
			break
		}
		if strings.HasPrefix(fence, text) {
			return -1, true
		}
	}
	switch {
	case text == "":
		return -1, true
	case text[0] == '{':
		return len(r.held) - len(text), true
	}
	return 0, false
}

// inFence reports whether the call under way stands in a block of code.
func (r *Reader) inFence() bool { return r.bare && strings.Contains(r.opener, "```") }

// bareCall goes into a call that has no mark.
func (r *Reader) bareCall() bool {
	size, ok := r.bareMay()
	if !ok || size < 0 {
		return false
	}
	r.opener, r.held, r.bare = r.held[:size], r.held[size:], true
	r.begin()
	return true
}

// begin goes into a call. The text before it stays open: it goes on if the call is none.
func (r *Reader) begin() {
	r.state, r.call = inHead, callState{}
}

func (r *Reader) thinking() bool {
	end := r.f.family.think.end
	if at := strings.Index(r.held, end); at >= 0 {
		r.give(chat.ThinkingBlock, strings.TrimRight(r.held[:at], "\n"))
		r.held = r.held[at+len(end):]
		r.to(inText)
		r.skip = true
		return true
	}
	keep := 0
	if !r.over {
		keep = partial(r.held, end)
		keep = len(r.held) - len(strings.TrimRight(r.held[:len(r.held)-keep], "\n"))
	}
	r.give(chat.ThinkingBlock, r.held[:len(r.held)-keep])
	r.held = r.held[len(r.held)-keep:]
	return false
}

// malformed gives back as text what looked like a call and is none.
func (r *Reader) malformed(text string) {
	r.state = inText
	r.give(chat.TextBlock, r.opener+text)
	r.begun = true
}
