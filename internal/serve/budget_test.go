package serve

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/sample"
)

func TestReasoningEndsWithItsBudget(t *testing.T) {
	const begin, end, word, text = 1, 2, 3, 4
	logits := []float32{0, 0, 1, 9, 5} // it would think for ever
	for _, open := range []bool{true, false} {
		b := &budget{begin: begin, end: end, left: 3, inside: open, only: []uint64{1 << end}}
		s := sample.New(sample.Options{}, 0, nil, b)
		if !open {
			if id, err := s.Next([]float32{0, 9, 0, 0, 0}); id != begin || err != nil {
				t.Fatal(id, err)
			}
		}
		for i, want := range []int32{word, word, word, end, word} {
			if id, err := s.Next(logits); id != want || err != nil {
				t.Fatalf("open %v, token %d: %d %v, want %d", open, i, id, err, want)
			}
		}
	}
}
