package responses

import (
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// stream encodes an answer under way. Every event has a number, one more than the event before.
type stream struct {
	b      *body
	r      *chat.Request
	now    *response
	fold   chat.Fold
	number int
	id     string            // of the latest item
	place  int               // of the latest item
	ended  bool              // the latest item has said all but how it ended
	input  *custom.Unwrapper // of the open item, if it is a call of a custom tool

	as   string          // its ID where it is stored, "" for the backend's own
	sink *jobs.Sink      // of an answer in the background, nil for any other
	keep func(*response) // stores a whole answer, nil if that is not wanted
}

// event is any event: what it does not need stays out.
type event struct {
	Type         string                 `json:"type"`
	Number       int                    `json:"sequence_number"`
	Response     *response              `json:"response,omitempty"`
	OutputIndex  *int                   `json:"output_index,omitempty"`
	ItemID       string                 `json:"item_id,omitempty"`
	Item         any                    `json:"item,omitempty"`
	ContentIndex *int                   `json:"content_index,omitempty"`
	Part         any                    `json:"part,omitempty"`
	Delta        *string                `json:"delta,omitempty"`
	Text         *string                `json:"text,omitempty"`
	Refusal      *string                `json:"refusal,omitempty"`
	Name         string                 `json:"name,omitempty"`
	Arguments    *string                `json:"arguments,omitempty"`
	Input        *string                `json:"input,omitempty"`
	Logprobs     *[]openai.TokenLogprob `json:"logprobs,omitempty"`
	Annotation   *annotation            `json:"annotation,omitempty"`
	AnnotationIx *int                   `json:"annotation_index,omitempty"`
	Obfuscation  string                 `json:"obfuscation,omitempty"`
}

// fill makes a piece's length even.
func (e *event) fill() error {
	piece, err := api.Encode(e)
	if err == nil {
		e.Obfuscation = openai.Filling(len(piece))
	}
	return err
}

// words are the names of a kind of block's events.
var words = map[chat.BlockKind]string{chat.TextBlock: "response.output_text", chat.RefusalBlock: "response.refusal",
	chat.ThinkingBlock: "response.reasoning_text", chat.CallBlock: "response.function_call_arguments"}

// word is the name of the open item's events.
func (s *stream) word(kind chat.BlockKind) string {
	if s.input != nil {
		return "response.custom_tool_call_input"
	}
	return words[kind]
}

func (s *stream) Type() string { return "text/event-stream" }

func (s *stream) send(out *api.Frames, e event) error {
	e.Number = s.number
	s.number++
	if e.Delta != nil && s.b.even() {
		if err := e.fill(); err != nil {
			return err
		}
	}
	if s.sink != nil {
		text, err := api.Encode(&e)
		if err != nil {
			return err
		}
		s.sink.Add(jobs.Event{N: e.Number, Name: e.Type, Text: text})
	}
	return out.SSE(e.Type, "", &e)
}

// inItem is an event of the open item; those of calls have no content index.
func (s *stream) inItem(name string, ev *chat.Event) event {
	e := event{Type: name, ItemID: s.id, OutputIndex: &ev.Block}
	if s.block().Kind != chat.CallBlock {
		e.ContentIndex = new(int)
	}
	return e
}

// block is the block under way, or the latest.
func (s *stream) block() *chat.Block {
	blocks := s.fold.Response().Choices[0].Blocks
	return &blocks[len(blocks)-1]
}

func (s *stream) Event(out *api.Frames, ev *chat.Event) error {
	if s.as != "" && ev.Kind == chat.Started {
		ev.ID = s.as
	}
	s.fold.Add(*ev)
	switch ev.Kind {
	case chat.Started:
		s.now = begin(s.b, s.r, ev.ID, ev.Model, ev.Created)
		if err := s.send(out, event{Type: "response.created", Response: s.now}); err != nil {
			return err
		}
		return s.send(out, event{Type: "response.in_progress", Response: s.now})
	case chat.BlockStart:
		return s.start(out, ev)
	case chat.Delta:
		return s.delta(out, ev)
	case chat.Cited:
		return s.cite(out, ev)
	case chat.BlockStop:
		return s.stop(out, ev)
	case chat.Finished:
		return s.itemDone(out, statusOf(ev.Finish))
	}
	return nil
}

func (s *stream) start(out *api.Frames, ev *chat.Event) error {
	b := s.block()
	if err := s.itemDone(out, "completed"); err != nil {
		return err
	}
	s.id, s.input = itemID(s.b, s.now.ID, b, ev.Block), nil
	if s.b.takesText(b) {
		s.input = new(custom.Unwrapper)
	}
	err := s.send(out, event{Type: "response.output_item.added", OutputIndex: &ev.Block, Item: emptyItem(s.b, s.id, b)})
	if err != nil || b.Kind == chat.CallBlock {
		return err
	}
	part := s.inItem("response.content_part.added", ev)
	part.Part = partOf(s.r, b)
	return s.send(out, part)
}

func (s *stream) delta(out *api.Frames, ev *chat.Event) error {
	e, text := s.inItem(s.word(ev.BlockKind)+".delta", ev), ev.Text
	if s.input != nil {
		if text = s.input.Next(text); text == "" {
			return nil
		}
	}
	e.Delta = &text
	if ev.BlockKind == chat.TextBlock {
		probabilities := logprobsOf(s.r, ev.Tokens)
		e.Logprobs = &probabilities
	}
	return s.send(out, e)
}

func (s *stream) cite(out *api.Frames, ev *chat.Event) error {
	all := annotationsOf(s.block().Citations)
	for i := len(all) - len(ev.Citation.Sources); i < len(all); i++ {
		e := s.inItem("response.output_text.annotation.added", ev)
		e.Annotation, e.AnnotationIx = &all[i], &i
		if err := s.send(out, e); err != nil {
			return err
		}
	}
	return nil
}

// stop says again what the block said, whole.
func (s *stream) stop(out *api.Frames, ev *chat.Event) error {
	b := s.block()
	e := s.inItem(s.word(b.Kind)+".done", ev)
	switch {
	case s.input != nil:
		text := custom.Input(b.Text)
		e.Input = &text
	case b.Kind == chat.CallBlock:
		e.Arguments, e.Name = &b.Text, b.Call.Name
	case b.Kind == chat.RefusalBlock:
		e.Refusal = &b.Text
	case b.Kind == chat.TextBlock:
		probabilities := logprobsOf(s.r, b.Tokens)
		e.Logprobs = &probabilities
		e.Text = &b.Text
	default:
		e.Text = &b.Text
	}
	if err := s.send(out, e); err != nil {
		return err
	}
	if b.Kind != chat.CallBlock {
		part := s.inItem("response.content_part.done", ev)
		part.Part = partOf(s.r, b)
		if err := s.send(out, part); err != nil {
			return err
		}
	}
	s.place, s.ended = ev.Block, true
	return nil
}

// itemDone says of the latest item how it ended, which is known when the next begins or the answer
// is finished.
func (s *stream) itemDone(out *api.Frames, status string) error {
	if !s.ended {
		return nil
	}
	s.ended = false
	b := &s.fold.Response().Choices[0].Blocks[s.place]
	return s.send(out, event{Type: "response.output_item.done", OutputIndex: &s.place, Item: itemOf(s.b, s.r, s.id, status, b)})
}

// Ping is a comment, which clients of event streams pass over.
func (s *stream) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail ends the answer as failed.
func (s *stream) Fail(out *api.Frames, f *api.Failure) {
	failed := &response{}
	if s.now != nil {
		*failed = *s.now
	} else {
		failed = begin(s.b, s.r, f.RequestID, "", time.Now())
	}
	failed.Status, failed.Error = "failed", &responseError{f.Code, f.Message}
	_ = s.send(out, event{Type: "response.failed", Response: failed}) // strings only: cannot fail
	s.end(failed)
}

func (s *stream) End(out *api.Frames) {
	got := s.fold.Response()
	whole := responseOf(s.b, s.r, got)
	if s.keep != nil {
		s.keep(whole)
	}
	s.end(whole)
	_ = s.send(out, event{Type: "response." + whole.Status, Response: whole}) // it was encoded before, in parts
}

// end tells the sink how the answer ended.
func (s *stream) end(whole *response) {
	if s.sink == nil {
		return
	}
	if text, err := api.Encode(whole); err == nil { // it was encoded before, in parts
		s.sink.End(text)
	}
}
