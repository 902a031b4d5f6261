package prompt

import (
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
)

// Tokenizer reads a model's tokenizer, template and ends of answers from all of its files that say
// something of them. Errors are the tokenizer's.
func Tokenizer(f *weights.File) (*tokenizer.Tokenizer, error) {
	return tokenizer.Open(tokenizer.Source{Meta: f.Meta, JSON: f.Tokenizer, Config: f.TokenizerConfig,
		ChatTemplate: f.ChatTemplate, Generation: f.GenerationConfig})
}
