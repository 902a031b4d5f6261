package engine

import "github.com/galerne-ai/galerne/internal/fault"

var (
	ErrTooLong = fault.New(fault.Invalid, "context_length_exceeded", "engine: the prompt is too long")
	ErrEmpty   = fault.New(fault.Invalid, "empty_prompt", "engine: the prompt is empty")
	ErrToken   = fault.New(fault.Invalid, "invalid_request", "engine: the request is out of range")
	ErrBusy    = fault.New(fault.Busy, "queue_full", "engine: too many requests are waiting")
	ErrClosed  = fault.New(fault.Unavailable, "engine_closed", "engine: it is shut down")
	ErrPanic   = fault.New(fault.Internal, "engine_panic", "engine: a request broke it")
	ErrMemory  = fault.New(fault.Unavailable, "model_too_large", "engine: the model does not fit into memory")
)
