package anthropic

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// events encodes a streamed message.
type events struct {
	view    view
	index   int            // of the open block; blocks are numbered from 0
	object  api.ObjectText // of the open tool_use
	thought strings.Builder
	delta   messageDelta
	framing api.Framing // nil: Anthropic's own, server-sent events
}

// send writes one event.
func (s *events) send(out *api.Frames, name string, v any) error {
	if s.framing != nil {
		return s.framing.Event(out, v)
	}
	return out.SSE(name, "", v)
}

type messageStart struct {
	Type    string  `json:"type"`
	Message *answer `json:"message"`
}

type blockStart struct {
	Type  string `json:"type"`
	Index int    `json:"index"`
	Block any    `json:"content_block"`
}

type blockDelta struct {
	Type  string `json:"type"`
	Index int    `json:"index"`
	Delta any    `json:"delta"`
}

type blockStop struct {
	Type  string `json:"type"`
	Index int    `json:"index"`
}

type messageDelta struct {
	Type  string `json:"type"`
	Delta struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	} `json:"delta"`
	Usage messageUsage `json:"usage"`
}

// The deltas of blocks.
type textDelta struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type inputDelta struct {
	Type string `json:"type"`
	JSON string `json:"partial_json"`
}

type thinkingDelta struct {
	Type     string `json:"type"`
	Thinking string `json:"thinking"`
}

type signatureDelta struct {
	Type      string `json:"type"`
	Signature string `json:"signature"`
}

type citationsDelta struct {
	Type     string `json:"type"`
	Citation any    `json:"citation"`
}

func (s *events) Type() string { return "text/event-stream; charset=utf-8" }

func (s *events) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		usage := ev.Usage
		if usage == nil {
			usage = &chat.Usage{}
		}
		return s.send(out, "message_start", messageStart{"message_start", s.view.start(ev.ID, ev.Model, wholeUsage(usage))})
	case chat.BlockStart:
		return s.begin(out, ev)
	case chat.Delta:
		return s.more(out, ev)
	case chat.BlockStop:
		return s.stop(out, ev)
	case chat.Cited:
		for _, c := range s.view.citations(ev.Citation) {
			if err := s.part(out, citationsDelta{"citations_delta", c}); err != nil {
				return err
			}
		}
	case chat.Finished:
		s.delta.Delta.StopReason, s.delta.Delta.StopSequence = stopReason(ev.Finish, ev.StopText)
	case chat.Ended:
		s.delta.Type = "message_delta"
		if ev.Usage != nil {
			s.delta.Usage = usageOf(ev.Usage)
		}
		return s.send(out, "message_delta", &s.delta)
	}
	return nil
}

func (s *events) begin(out *api.Frames, ev *chat.Event) error {
	var block any
	switch ev.BlockKind {
	case chat.ThinkingBlock:
		s.thought.Reset()
		block = thinkingBlock{Type: "thinking"}
	case chat.CallBlock:
		s.object = api.ObjectText{}
		block = toolUseBlock{"tool_use", named("toolu_", ev.Call.ID), ev.Call.Name, []byte("{}")}
	default:
		block = textBlock{Type: "text"}
	}
	return s.send(out, "content_block_start", blockStart{"content_block_start", s.index, block})
}

func (s *events) more(out *api.Frames, ev *chat.Event) error {
	switch ev.BlockKind {
	case chat.ThinkingBlock:
		s.thought.WriteString(ev.Text)
		if s.view.omit || ev.Text == "" {
			return nil
		}
		return s.part(out, thinkingDelta{"thinking_delta", ev.Text})
	case chat.CallBlock:
		return s.input(out, s.object.Add(ev.Text))
	}
	if ev.Text == "" {
		return nil
	}
	return s.part(out, textDelta{"text_delta", ev.Text})
}

func (s *events) stop(out *api.Frames, ev *chat.Event) error {
	var err error
	switch ev.BlockKind {
	case chat.ThinkingBlock:
		err = s.part(out, signatureDelta{"signature_delta", s.view.thought(s.thought.String()).Signature})
	case chat.CallBlock:
		err = s.input(out, s.object.Close())
	}
	if err != nil {
		return err
	}
	s.index++
	return s.send(out, "content_block_stop", blockStop{"content_block_stop", s.index - 1})
}

func (s *events) input(out *api.Frames, text string) error {
	if text == "" {
		return nil
	}
	return s.part(out, inputDelta{"input_json_delta", text})
}

func (s *events) part(out *api.Frames, delta any) error {
	return s.send(out, "content_block_delta", blockDelta{"content_block_delta", s.index, delta})
}

// Ping is an event of its own, which their clients pass over.
func (s *events) Ping(out *api.Frames) { out.Raw("event: ping\ndata: {\"type\":\"ping\"}\n\n") }

// Fail sends an error in the middle of a stream. Nothing follows it.
func (s *events) Fail(out *api.Frames, f *api.Failure) { _ = s.send(out, "error", errorOf(f)) } // strings only: cannot fail

func (s *events) End(out *api.Frames) {
	out.Raw("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
}
