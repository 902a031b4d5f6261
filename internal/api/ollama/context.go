package ollama

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/chat"
)

// The context that generate gives and takes back is a conversation in numbers that mean something to
// the server only. Here they are the conversation's texts as JSON, three bytes a number, after a mark
// and the number of bytes.
const (
	contextMark = 0x67616c // "gal"
	maxContext  = 1 << 22  // numbers that are read
)

type remembered struct {
	Role string `json:"r"`
	Text string `json:"t"`
}

// toContext keeps a conversation: what was asked, and the answer.
func toContext(messages []chat.Message, answer string) []int32 {
	var all []remembered
	for _, m := range messages {
		for _, p := range m.Parts {
			all = append(all, remembered{string(m.Role), p.Text})
		}
	}
	data, err := json.Marshal(append(all, remembered{string(chat.Assistant), answer}))
	if err != nil {
		return nil // texts can be written always
	}
	out := []int32{contextMark, int32(len(data))}
	for i := 0; i < len(data); i += 3 {
		var three [3]byte
		copy(three[:], data[i:])
		out = append(out, int32(three[0])<<16|int32(three[1])<<8|int32(three[2]))
	}
	return out
}

// fromContext is the conversation that toContext kept.
func fromContext(numbers []int32) ([]chat.Message, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	foreign := invalid("context", "context is not one that this server gave: send the conversation to /api/chat")
	if len(numbers) < 2 || len(numbers) > maxContext || numbers[0] != contextMark {
		return nil, foreign
	}
	data := make([]byte, 0, 3*len(numbers))
	for _, n := range numbers[2:] {
		data = append(data, byte(n>>16), byte(n>>8), byte(n))
	}
	if n := int(numbers[1]); n < 0 || n > len(data) {
		return nil, foreign
	}
	data = data[:numbers[1]]
	var all []remembered
	if !utf8.Valid(data) || json.Unmarshal(data, &all) != nil {
		return nil, foreign
	}
	var out []chat.Message
	for _, m := range all {
		role := chat.Role(m.Role)
		if role != chat.System && role != chat.User && role != chat.Assistant {
			return nil, foreign
		}
		out = append(out, said(role, m.Text))
	}
	return out, nil
}
