package anthropic

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Invoke answers a request for a message that does not name its model, and says its version instead.
func Invoke(c *api.Call, model string) error {
	v, err := invocation(c, model)
	if err != nil {
		return err
	}
	return v.whole(c)
}

// InvokeStream is Invoke, streamed.
func InvokeStream(c *api.Call, model string, f api.Framing) error {
	v, err := invocation(c, model)
	if err != nil {
		return err
	}
	return c.Stream(&invoked{events{view: *v, framing: f}}, v.request)
}

func invocation(c *api.Call, model string) (*view, error) {
	fields := append(bodyFields(), api.Field{Name: "anthropic_version", Hint: true}, api.Field{Name: "anthropic_beta", Hint: true})
	var b body
	if err := c.Decode(&b, fields); err != nil {
		return nil, err
	}
	b.Model = model
	return b.view()
}

// InvokeCount reads such a request, given as data, for the count of its tokens.
func InvokeCount(data []byte, model string) (*chat.Request, error) {
	var b body
	if err := api.Decode("body", data, &b, false); err != nil {
		return nil, err
	}
	b.Model = model
	return b.request()
}

// invoked is a stream in another framing.
type invoked struct{ events }

func (s *invoked) Type() string                         { return s.framing.Type() }
func (s *invoked) Ping(out *api.Frames)                 { s.framing.Ping(out) }
func (s *invoked) Fail(out *api.Frames, f *api.Failure) { s.framing.Fail(out, f) }
func (s *invoked) End(out *api.Frames) {
	_ = s.framing.Event(out, map[string]string{"type": "message_stop"}) // strings only: cannot fail
}
