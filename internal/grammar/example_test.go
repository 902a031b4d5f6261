package grammar_test

import (
	"fmt"

	"github.com/galerne-ai/galerne/internal/grammar"
)

func Example() {
	g, err := grammar.CompileSchema([]byte(`{
		"type": "object",
		"properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
		"required": ["city"]
	}`), grammar.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A model's vocabulary, made once: here four tokens and an end.
	v := grammar.NewVocabulary([][]byte{[]byte(`{"city": "`), []byte("Brest"), []byte(`"}`), []byte("x"), []byte("</s>")}, []int32{4})
	m := g.Mask(v) // one for each answer: a sample.Mask
	for _, id := range []int32{0, 1, 2, 4} {
		fmt.Printf("%d of %d tokens allowed\n", grammar.Count(m.Allowed()), v.Size())
		if err := m.Advance(id); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 1 of 5 tokens allowed
	// 3 of 5 tokens allowed
	// 3 of 5 tokens allowed
	// 1 of 5 tokens allowed
}

func ExampleCompileSchema_refused() {
	_, err := grammar.CompileSchema([]byte(`{"type":"object","properties":{"tags":{"type":"array","uniqueItems":true}}}`), grammar.Options{})
	fmt.Println(err)
	// Output:
	// grammar: uniqueItems at /properties/tags/uniqueItems cannot be enforced: items can be kept different only where they are one enum of at most 10 values: leave it out or use maxItems 1
}
