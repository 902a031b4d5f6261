package serve

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrStalled: a step does not end.
	ErrStalled = fault.New(fault.Unavailable, "engine_stalled", "serve: an engine stands still")
	// ErrMemory: the model does not fit beside those that are in use.
	ErrMemory = fault.New(fault.Busy, "memory_full", "serve: no memory for the model now")
	// ErrClosed: the server is shutting down.
	ErrClosed = fault.New(fault.Unavailable, "shutting_down", "serve: the server is shutting down")
	// ErrKind: the model cannot do what is asked: chat with an encoder, fill in the middle without its tokens.
	ErrKind = fault.New(fault.Invalid, "model_cannot", "serve: the model cannot do this")
)

var (
	errPanic   = fault.New(fault.Internal, "encoder_panic", "serve: a request broke the encoder")
	errTooLong = fault.New(fault.Invalid, "context_length_exceeded", "serve: the text is too long")
)
