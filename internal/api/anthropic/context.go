package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// management is what shall be taken out of a long conversation.
type management struct {
	Edits []struct {
		Type string          `json:"type"`
		Keep json.RawMessage `json:"keep"`
	} `json:"edits"`
}

// manage takes out the reasoning of older turns, the one edit that is known here.
func (b *body) manage(r *chat.Request) error {
	if b.ContextManagement == nil {
		return nil
	}
	for i, e := range b.ContextManagement.Edits {
		at := fmt.Sprintf("context_management.edits[%d]", i)
		if e.Type != "clear_thinking_20251015" {
			return unsupported(at+".type", "%s.type %q is not supported: shorten the conversation yourself", at, e.Type)
		}
		keep, all, err := readKeep(at+".keep", e.Keep)
		if err != nil {
			return err
		}
		if !all {
			clearThinking(r.Messages, keep)
		}
	}
	return nil
}

// readKeep reads how many of the latest turns keep their reasoning; one by default.
func readKeep(at string, raw json.RawMessage) (keep int, all bool, err error) {
	if isNull(raw) {
		return 1, false, nil
	}
	if string(raw) == `"all"` {
		return 0, true, nil
	}
	var k struct {
		Type  string `json:"type"`
		Value int    `json:"value"`
	}
	if err := api.Decode(at, raw, &k, false); err != nil {
		return 0, false, err
	}
	if k.Type == "all" {
		return 0, true, nil
	}
	if k.Type != "thinking_turns" || k.Value < 1 {
		return 0, false, invalid(at, "%s must be \"all\", or thinking_turns with a value of at least 1", at)
	}
	return k.Value, false, nil
}

func clearThinking(messages []chat.Message, keep int) {
	for i := len(messages) - 1; i >= 0; i-- {
		m := &messages[i]
		isThinking := func(p chat.Part) bool { return p.Kind == chat.ThinkingPart }
		if m.Role != chat.Assistant || !slices.ContainsFunc(m.Parts, isThinking) {
			continue
		}
		if keep--; keep < 0 {
			m.Parts = slices.DeleteFunc(m.Parts, isThinking)
		}
	}
}
