package tokenizer

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrVocabulary: the file's vocabulary contradicts itself or lacks a part.
	ErrVocabulary = fault.New(fault.Unavailable, "bad_vocabulary", "tokenizer: the vocabulary cannot be used")
	// ErrUnsupported: the file names a rule that this program does not have.
	ErrUnsupported = fault.New(fault.Unavailable, "tokenizer_unsupported", "tokenizer: unsupported kind")
)
