package bedrock

import (
	"encoding/json"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/cohere"
	"github.com/galerne-ai/galerne/internal/api/openai"
)

// chunks frames the events of another vendor's stream: each is a chunk of bytes.
type chunks struct{}

type chunk struct {
	Bytes []byte `json:"bytes"` // of JSON, in base64
}

func (chunks) Type() string { return streamType }

func (chunks) Event(out *api.Frames, v any) error {
	data, err := api.Encode(v)
	if err != nil {
		return err
	}
	return frame(out, "chunk", chunk{data})
}

func (chunks) Ping(out *api.Frames)                 { new(events).Ping(out) }
func (chunks) Fail(out *api.Frames, f *api.Failure) { fail(out, f) }

// shape is what tells the body of one vendor's models from those of others'.
type shape struct {
	Version  json.RawMessage `json:"anthropic_version"`
	Messages json.RawMessage `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"`
	Input    json.RawMessage `json:"inputText"`
	Texts    json.RawMessage `json:"texts"`
	Text     json.RawMessage `json:"textGenerationConfig"`
	MaxGen   json.RawMessage `json:"max_gen_len"`
	Nova     json.RawMessage `json:"inferenceConfig"`
	Schema   json.RawMessage `json:"schemaVersion"`
	Tools    json.RawMessage `json:"toolConfig"`
	Message  json.RawMessage `json:"message"`
	Stream   bool            `json:"stream"`

	Dimensions json.RawMessage `json:"dimensions"`
	Normalize  json.RawMessage `json:"normalize"`
	Types      json.RawMessage `json:"embeddingTypes"`
}

func shapeOf(c *api.Call) (s shape, err error) {
	var raw json.RawMessage
	if err := c.Decode(&raw, nil); err != nil {
		return s, err
	}
	return s, api.Decode("", raw, &s, false)
}

// invoke answers POST /model/{model}/invoke, whose body is in the form of some vendor's models.
func invoke(c *api.Call) error {
	s, err := shapeOf(c)
	if err != nil {
		return err
	}
	switch {
	case !isNull(s.Version):
		return anthropic.Invoke(c, modelOf(c))
	case !isNull(s.Message):
		return cohere.Invoke(c, modelOf(c), nil)
	case !isNull(s.Messages) && s.isNova():
		return invokeNova(c)
	case !isNull(s.Messages):
		if s.Stream {
			return unsupported("stream", "stream is not for invoke: use invoke-with-response-stream, or converse-stream")
		}
		c.R.SetPathValue("deployment", modelOf(c))
		return openai.Chat(c)
	}
	if !isNull(s.Texts) {
		return embedCohere(c)
	}
	if !isNull(s.Input) && isNull(s.Text) {
		m, err := c.Backend.Model(c.R.Context(), modelOf(c))
		if err != nil {
			return err
		}
		if m.Embeds && (!m.Chats || !isNull(s.Dimensions) || !isNull(s.Normalize) || !isNull(s.Types)) {
			return embedTitan(c)
		}
	}
	if f := familyOf(&s); f != nil {
		return f.complete(c)
	}
	return unknownBody()
}

// invokeStream answers POST /model/{model}/invoke-with-response-stream.
func invokeStream(c *api.Call) error {
	s, err := shapeOf(c)
	if err != nil {
		return err
	}
	if !isNull(s.Version) {
		return anthropic.InvokeStream(c, modelOf(c), chunks{})
	}
	switch {
	case !isNull(s.Message):
		return cohere.Invoke(c, modelOf(c), chunks{})
	case !isNull(s.Messages) && s.isNova():
		return streamNova(c)
	case !isNull(s.Messages):
		c.R.SetPathValue("deployment", modelOf(c))
		return openai.ChatIn(c, chunks{})
	}
	if f := familyOf(&s); f != nil {
		return f.stream(c)
	}
	return unknownBody()
}

func unknownBody() error {
	return unsupported("body", "the body is of no kind that is served: send the body of Anthropic's, Meta's, Mistral's, Nova's, Titan's or Cohere's models, or a chat's messages, or use converse, which is the same for every model")
}
