package cohere

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// viewV1 tells answers in the words of version 1, which has no place for reasoning.
type viewV1 struct{ body *chatV1Body }

type answerV1 struct {
	ResponseID   string            `json:"response_id"`
	GenerationID string            `json:"generation_id"`
	Text         string            `json:"text"`
	FinishReason string            `json:"finish_reason"`
	Calls        []callV1          `json:"tool_calls,omitempty"`
	Citations    []citationV1      `json:"citations,omitempty"`
	Documents    []json.RawMessage `json:"documents,omitempty"` // those that are cited
	History      []turn            `json:"chat_history"`
	Meta         metaV1            `json:"meta"`
}

// citationV1 counts characters of the text.
type citationV1 struct {
	Start     int      `json:"start"`
	End       int      `json:"end"`
	Text      string   `json:"text"`
	Documents []string `json:"document_ids"`
}

type metaV1 struct {
	meta
	Tokens billed `json:"tokens"`
}

func finishReasonV1(f chat.Finish) string {
	if f == chat.ToolCall {
		return "COMPLETE"
	}
	return finishReason(f)
}

// answer tells a whole answer.
func (v *viewV1) answer(a *chat.Response) *answerV1 {
	used := usageOf(&a.Usage)
	out := &answerV1{ResponseID: answerID(a.ID), GenerationID: answerID(a.ID), FinishReason: "COMPLETE", Meta: metaV1{metaOf("1", &used.Billed), used.Tokens}}
	if len(a.Choices) > 0 {
		c := &a.Choices[0]
		out.FinishReason = finishReasonV1(c.Finish)
		for i := range c.Blocks {
			b := &c.Blocks[i]
			switch b.Kind {
			case chat.CallBlock:
				out.Calls = append(out.Calls, callOf(b.Call.Name, b.Text))
			case chat.TextBlock:
				base := utf8.RuneCountInString(out.Text)
				for j := range b.Citations {
					out.Citations = append(out.Citations, citationOf(&b.Citations[j], base))
					out.cite(&b.Citations[j])
				}
				out.Text += b.Text
			}
		}
	}
	out.History = slices.Clone(v.body.History)
	if *v.body.Message != "" {
		out.History = append(out.History, turn{Role: "USER", Message: *v.body.Message})
	}
	if len(v.body.Results) > 0 {
		out.History = append(out.History, turn{Role: "TOOL", Results: v.body.Results})
	}
	out.History = append(out.History, turn{Role: "CHATBOT", Message: out.Text, Calls: out.Calls})
	return out
}

// cite adds the sources of a citation that are not there yet.
func (a *answerV1) cite(c *chat.Citation) {
	for i := range c.Sources {
		d := withID(&c.Sources[i])
		if !slices.ContainsFunc(a.Documents, func(o json.RawMessage) bool { return string(o) == string(d) }) {
			a.Documents = append(a.Documents, d)
		}
	}
}

func citationOf(c *chat.Citation, base int) citationV1 {
	out := citationV1{Start: base + c.Start, End: base + c.End, Text: c.Text, Documents: []string{}}
	for _, d := range c.Sources {
		out.Documents = append(out.Documents, d.ID)
	}
	return out
}

// callOf is a call with its arguments as the object that they should be; other text is kept under its name.
func callOf(name, arguments string) callV1 {
	out := callV1{Name: name, Parameters: json.RawMessage(arguments)}
	var fields map[string]json.RawMessage
	if json.Unmarshal(out.Parameters, &fields) != nil || fields == nil {
		out.Parameters, _ = api.Encode(map[string]string{"arguments": arguments}) // strings only: cannot fail
	}
	return out
}

// eventsV1 encodes a streamed chat of version 1: a line of JSON an event, or a server-sent event where the
// request's header Accepts asks for them.
type eventsV1 struct {
	view viewV1
	sse  bool
	fold chat.Fold
	id   string
	text int // characters before the block that is being written
	now  int // characters of that block
	call int // number of the call that is being written
	said strings.Builder

	framing api.Framing // another vendor's, nil for ours
}

// framedV1 is a stream in another vendor's framing, which has errors of its own.
type framedV1 struct{ eventsV1 }

func (s *framedV1) Type() string                         { return s.framing.Type() }
func (s *framedV1) Ping(out *api.Frames)                 { s.framing.Ping(out) }
func (s *framedV1) Fail(out *api.Frames, f *api.Failure) { s.framing.Fail(out, f) }

// eventV1 is any of them. What its type has not is left out.
type eventV1 struct {
	Finished     bool         `json:"is_finished"`
	Type         string       `json:"event_type"`
	GenerationID string       `json:"generation_id,omitempty"`
	Text         *string      `json:"text,omitempty"`
	Delta        *deltaV1     `json:"tool_call_delta,omitempty"`
	Calls        []callV1     `json:"tool_calls,omitempty"`
	Citations    []citationV1 `json:"citations,omitempty"`
	FinishReason string       `json:"finish_reason,omitempty"`
	Error        string       `json:"error,omitempty"`
	Response     *answerV1    `json:"response,omitempty"`
}

type deltaV1 struct {
	Index      int    `json:"index"`
	Name       string `json:"name,omitempty"`
	Parameters string `json:"parameters,omitempty"`
}

func (s *eventsV1) Type() string {
	if s.sse {
		return "text/event-stream; charset=utf-8"
	}
	return "application/stream+json"
}

func (s *eventsV1) Event(out *api.Frames, ev *chat.Event) error {
	s.fold.Add(*ev)
	switch ev.Kind {
	case chat.Started:
		s.id = answerID(ev.ID)
		return s.send(out, eventV1{Type: "stream-start", GenerationID: s.id})
	case chat.BlockStart:
		if ev.BlockKind == chat.CallBlock {
			return s.send(out, eventV1{Type: "tool-calls-chunk", Delta: &deltaV1{Index: s.call, Name: ev.Call.Name}})
		}
	case chat.Delta:
		switch {
		case ev.Text == "":
		case ev.BlockKind == chat.CallBlock:
			return s.send(out, eventV1{Type: "tool-calls-chunk", Delta: &deltaV1{Index: s.call, Parameters: ev.Text}})
		case ev.BlockKind == chat.TextBlock:
			s.now += utf8.RuneCountInString(ev.Text)
			s.said.WriteString(ev.Text)
			return s.send(out, eventV1{Type: "text-generation", Text: &ev.Text})
		}
	case chat.Cited:
		return s.send(out, eventV1{Type: "citation-generation", Citations: []citationV1{citationOf(ev.Citation, s.text)}})
	case chat.BlockStop:
		if ev.BlockKind == chat.CallBlock {
			s.call++
		}
		s.text, s.now = s.text+s.now, 0
	case chat.Ended:
		return s.end(out)
	}
	return nil
}

// end tells all calls together, and the whole answer.
func (s *eventsV1) end(out *api.Frames) error {
	whole := s.view.answer(s.fold.Response())
	if len(whole.Calls) > 0 {
		if err := s.send(out, eventV1{Type: "tool-calls-generation", Calls: whole.Calls}); err != nil {
			return err
		}
	}
	return s.send(out, eventV1{Finished: true, Type: "stream-end", FinishReason: whole.FinishReason, Response: whole})
}

func (s *eventsV1) send(out *api.Frames, e eventV1) error {
	if s.framing != nil {
		return s.framing.Event(out, e)
	}
	if s.sse {
		return out.SSE(e.Type, "", e)
	}
	return out.Line(e)
}

// Ping is an empty line or a comment, which clients pass over.
func (s *eventsV1) Ping(out *api.Frames) {
	if s.sse {
		out.Raw(": keep-alive\n\n")
	} else {
		out.Raw("\n")
	}
}

// Fail ends the stream with an error, and with what was written until then.
func (s *eventsV1) Fail(out *api.Frames, f *api.Failure) {
	whole := s.view.answer(s.fold.Response())
	whole.FinishReason, whole.Text = "ERROR", s.said.String()
	whole.History[len(whole.History)-1].Message = whole.Text
	_ = s.send(out, eventV1{Finished: true, Type: "stream-end", FinishReason: "ERROR", Error: errorText(f), Response: whole}) // it encodes as it did before
}

// End adds nothing: stream-end was the last.
func (s *eventsV1) End(*api.Frames) {}
