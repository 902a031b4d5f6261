package galerne_test

import (
	"context"
	"fmt"
	"log"

	"github.com/galerne-ai/galerne"
)

// A model is opened by its name once "galerne pull" has fetched it; here it is a file.
func Example() {
	model, err := galerne.Open(".deps/models/smollm2-135m.gguf", galerne.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	answer, err := model.Chat(context.Background(), galerne.Request{Messages: []galerne.Message{galerne.User("What is 2+2?")}, Temperature: new(0.0)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	// Output: The answer to this classic math problem is 4.
}

func ExampleModel_Stream() {
	model, err := galerne.Open(".deps/models/smollm2-135m.gguf", galerne.Options{Context: 1024})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	request := galerne.Request{
		Messages:    []galerne.Message{galerne.User("How many days are in a week?")},
		Temperature: new(0.0),
	}
	for piece, err := range model.Stream(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(piece.Text)
		if piece.Answer != nil {
			fmt.Printf("\n%s\n", piece.Answer.Finish)
		}
	}
	// Output:
	// A week is approximately 7 days.
	// stop
}

func ExampleModel_Complete() {
	model, err := galerne.Open(".deps/models/smollm2-135m.gguf", galerne.Options{Context: 1024})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	answer, err := model.Complete(context.Background(), galerne.Request{Text: "1, 2, 3, 4,", MaxTokens: new(8), Temperature: new(0.0)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	// Output: 5, 6, 7
}

func ExampleModel_Embed() {
	model, err := galerne.Open(".deps/models/all-minilm-l6-v2", galerne.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	vectors, err := model.Embed(context.Background(), "A gale blows at sea.", "Strong wind on the ocean.", "The bread is in the oven.")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors[0]), dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]))
	// Output: 384 true
}

func dot(a, b []float32) (sum float32) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
