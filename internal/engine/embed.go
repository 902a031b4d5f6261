package engine

import "github.com/galerne-ai/galerne/internal/kernel"

// Pooling is how the hidden states behind the last norm become one vector.
type Pooling uint8

const (
	NoPooling Pooling = iota
	Mean              // of all tokens
	Last              // that of the last token
)

func (q *sequence) embeds() bool { return q.stream.request.Embed != NoPooling }

// wantState asks for the hidden state of the row that is added next, if the vector needs it.
func (e *Engine) wantState(q *sequence, pos int) {
	if q.stream.request.Embed == Mean || pos == len(q.tokens)-1 {
		e.embedded = append(e.embedded, q)
		e.batch.States = append(e.batch.States, int32(len(e.batch.Tokens)))
	}
}

// addStates adds the step's hidden states to their vectors, in order of position, and ends those that
// are complete.
func (e *Engine) addStates() {
	dim := e.config.Dim
	for i, q := range e.embedded {
		if q.vector == nil {
			q.vector = make([]float32, dim)
		}
		kernel.Add(q.vector, e.batch.Hidden[i*dim:(i+1)*dim])
	}
	for i, q := range e.embedded {
		if q.computed < len(q.tokens) || i+1 < len(e.embedded) && e.embedded[i+1] == q {
			continue
		}
		if q.stream.request.Embed == Mean {
			kernel.Scale(q.vector, 1/float32(len(q.tokens)))
		}
		q.stream.push(Event{Kind: Embedded, Vector: q.vector})
		q.vector = nil // the reader's now
		e.finish(q, End, nil)
	}
}
