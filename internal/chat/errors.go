package chat

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrModel: no model has that name.
	ErrModel = fault.New(fault.NotFound, "model_not_found", "chat: no such model")
	// ErrUnsupported: a field that is known cannot be honoured. Its Param names it.
	ErrUnsupported = fault.New(fault.Invalid, "unsupported_parameter", "chat: a parameter is not supported")
	// ErrRequest: the request is malformed. Its Param names where.
	ErrRequest = fault.New(fault.Invalid, "invalid_request", "chat: the request is malformed")
)
