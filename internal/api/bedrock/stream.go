package bedrock

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// events encodes a streamed answer of converse-stream. A block begins with its first delta; one that says
// nothing is not told. Only tool calls have a begin of their own.
type events struct {
	view    view
	index   int
	open    bool // the block has an index
	thought strings.Builder
	object  api.ObjectText // of the open call
	input   strings.Builder
	broken  bool // a call's input was no object
	nova    bool // events are objects of one key in chunks of bytes
}

// The payloads of events.
type (
	messageStart struct {
		Role string `json:"role"`
	}
	blockStart struct {
		Index int      `json:"contentBlockIndex"`
		Start startOne `json:"start"`
	}
	startOne struct {
		ToolUse startToolUse `json:"toolUse"`
	}
	startToolUse struct {
		ID   string `json:"toolUseId"`
		Name string `json:"name"`
	}
	blockDelta struct {
		Index int `json:"contentBlockIndex"`
		Delta any `json:"delta"`
	}
	blockStop struct {
		Index int `json:"contentBlockIndex"`
	}
	messageStop struct {
		StopReason string          `json:"stopReason"`
		Additional json.RawMessage `json:"additionalModelResponseFields,omitempty"`
	}
	metadata struct {
		Usage   usage   `json:"usage"`
		Metrics metrics `json:"metrics"`
	}
)

// The deltas of blocks.
type (
	reasoningDelta struct {
		Reasoning reasoningOne `json:"reasoningContent"`
	}
	reasoningOne struct {
		Text      string `json:"text,omitempty"`
		Signature string `json:"signature,omitempty"`
	}
	toolDelta struct {
		ToolUse inputOne `json:"toolUse"`
	}
	inputOne struct {
		Input string `json:"input"`
	}
	citationDelta struct {
		Citation citation `json:"citation"`
	}
)

const streamType = "application/vnd.amazon.eventstream"

// Type implements api.Encoder.
func (s *events) Type() string { return streamType }

// frame writes one event.
func frame(out *api.Frames, name string, payload any) error {
	data, err := api.Encode(payload)
	if err != nil {
		return err
	}
	out.AWS(data, ":event-type", name, ":content-type", "application/json", ":message-type", "event")
	return nil
}

// frame writes one event.
func (s *events) frame(out *api.Frames, name string, payload any) error {
	if s.nova {
		return chunks{}.Event(out, map[string]any{name: payload})
	}
	return frame(out, name, payload)
}

// Event implements api.Encoder.
func (s *events) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		return s.frame(out, "messageStart", messageStart{"assistant"})
	case chat.BlockStart:
		s.thought.Reset()
		s.input.Reset()
		s.object, s.open = api.ObjectText{}, false
		if ev.BlockKind == chat.CallBlock {
			s.open = true
			return s.frame(out, "contentBlockStart", blockStart{s.index, startOne{startToolUse{callID(ev.Call.ID), ev.Call.Name}}})
		}
	case chat.Delta:
		return s.more(out, ev)
	case chat.Cited:
		for _, c := range s.view.citations([]chat.Citation{*ev.Citation}) {
			if err := s.delta(out, citationDelta{c}); err != nil {
				return err
			}
		}
	case chat.BlockStop:
		return s.stop(out, ev)
	case chat.Finished:
		return s.frame(out, "messageStop", messageStop{stopReason(ev.Finish, s.broken), s.view.additional(ev.Finish, ev.StopText)})
	case chat.Ended:
		if s.nova {
			return s.frame(out, "metadata", novaMetadata{novaUsageOf(ev.Usage)})
		}
		return s.frame(out, "metadata", metadata{usageOf(ev.Usage), metricsOf(ev.Timing)})
	}
	return nil
}

func (s *events) delta(out *api.Frames, delta any) error {
	s.open = true
	return s.frame(out, "contentBlockDelta", blockDelta{s.index, delta})
}

func (s *events) more(out *api.Frames, ev *chat.Event) error {
	switch {
	case ev.BlockKind == chat.CallBlock:
		s.input.WriteString(ev.Text)
		return s.arguments(out, s.object.Add(ev.Text))
	case ev.Text == "":
		return nil
	case ev.BlockKind == chat.ThinkingBlock:
		s.thought.WriteString(ev.Text)
		return s.delta(out, reasoningDelta{reasoningOne{Text: ev.Text}})
	}
	return s.delta(out, textOnly{ev.Text})
}

func (s *events) arguments(out *api.Frames, text string) error {
	if text == "" {
		return nil
	}
	return s.delta(out, toolDelta{inputOne{text}})
}

func (s *events) stop(out *api.Frames, ev *chat.Event) (err error) {
	switch {
	case ev.BlockKind == chat.CallBlock:
		s.broken = s.broken || malformed(s.input.String())
		err = s.arguments(out, s.object.Close())
	case ev.BlockKind == chat.ThinkingBlock && s.open:
		err = s.delta(out, reasoningDelta{reasoningOne{Signature: signature(s.thought.String())}})
	}
	if err != nil || !s.open {
		return err
	}
	s.index++
	return s.frame(out, "contentBlockStop", blockStop{s.index - 1})
}

// Ping is an event of a type that nobody knows, which their clients pass over.
func (s *events) Ping(out *api.Frames) {
	out.AWS([]byte("{}"), ":event-type", "keepAlive", ":content-type", "application/json", ":message-type", "event")
}

// Fail is an exception, after which nothing follows.
func (s *events) Fail(out *api.Frames, f *api.Failure) { fail(out, f) }

func fail(out *api.Frames, f *api.Failure) {
	_, name := exception(f)
	switch name {
	case "ThrottlingException", "ServiceUnavailableException", "ValidationException", "InternalServerException":
	default:
		name = "ModelStreamErrorException"
	}
	data, _ := api.Encode(errorAnswer{f.Message}) // strings only: cannot fail
	out.AWS(data, ":exception-type", strings.ToLower(name[:1])+name[1:], ":content-type", "application/json", ":message-type", "exception")
}

// End says nothing: metadata was the last.
func (s *events) End(*api.Frames) {}
