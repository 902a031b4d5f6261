package outbound

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrOptions: the proxy or another setting makes no sense.
	ErrOptions = fault.New(fault.Invalid, "outbound_options", "outbound: bad settings")
	// ErrUnreachable: no answer came: no route, no name, a refused connection, bad TLS, silence.
	ErrUnreachable = fault.New(fault.Unavailable, "outbound_unreachable", "outbound: the other machine does not answer")
	// ErrRedirect: the other machine sent us where we do not go.
	ErrRedirect = fault.New(fault.Unavailable, "outbound_redirect", "outbound: redirect refused")
	// ErrStalled: an answer began and then no byte came for too long.
	ErrStalled = fault.New(fault.Unavailable, "outbound_stalled", "outbound: the other machine fell silent")
	// ErrTooLarge: an answer is beyond the limit that its reader set.
	ErrTooLarge = fault.New(fault.Unavailable, "outbound_too_large", "outbound: the answer is too large")
)
