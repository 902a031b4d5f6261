package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrKey: no credential of the request is a key of this server.
	ErrKey = fault.New(fault.Denied, "invalid_api_key", "api: no valid key")
	// ErrScope: the key is good and may not do this.
	ErrScope = fault.New(fault.Denied, "permission_denied", "api: the key may not do this")
	// ErrOrigin: a web page of another origin calls a server that asks for no key.
	ErrOrigin = fault.New(fault.Denied, "origin_denied", "api: this origin may not call")
	// ErrRoute: nothing is served at the path.
	ErrRoute = fault.New(fault.NotFound, "unknown_url", "api: unknown path")
	// ErrMethod: the path exists, for other methods.
	ErrMethod = fault.New(fault.Invalid, "method_not_allowed", "api: method not allowed")
	// ErrTooLarge: the body is longer than the server takes.
	ErrTooLarge = fault.New(fault.Invalid, "request_too_large", "api: the body is too large")
	// ErrBody: the body is not the JSON that the route takes.
	ErrBody = fault.New(fault.Invalid, "invalid_request", "api: the body cannot be read")
	// ErrSlow: the body does not arrive.
	ErrSlow = fault.New(fault.Invalid, "request_timeout", "api: the body does not arrive")
	// ErrLate: the caller said how long it waits for an answer, and that time is over.
	ErrLate = fault.New(fault.Unavailable, "timeout", "api: the caller no longer waits")
	// ErrUnknownField: a strict server does not know a field.
	ErrUnknownField = fault.New(fault.Invalid, "unknown_parameter", "api: unknown field")
	// ErrRefused: a field is known and cannot be honoured.
	ErrRefused = fault.New(fault.Invalid, "unsupported_parameter", "api: a field is not supported")
	// ErrMediaType: the body is in a form that the route does not read.
	ErrMediaType = fault.New(fault.Invalid, "unsupported_media_type", "api: unsupported media type")
	// ErrDraining: the server is about to stop.
	ErrDraining = fault.New(fault.Busy, "shutting_down", "api: the server is shutting down")
	// ErrRate: the key has used up a limit that fills again.
	ErrRate = fault.New(fault.Busy, "rate_limit_exceeded", "api: rate limit exceeded")
	// ErrQuota: the key has used up a budget; trying again soon is useless.
	ErrQuota = fault.New(fault.Busy, "insufficient_quota", "api: the budget is used up")
	// ErrAgain: the same request is under way.
	ErrAgain = fault.New(fault.Busy, "idempotency_in_progress", "api: the same request is under way")
	// ErrReused: a request has the Idempotency-Key of another one.
	ErrReused = fault.New(fault.Invalid, "idempotency_key_reused", "api: the idempotency key is another request's")
)

// statusClosed is what the log says of callers who left before the answer.
const statusClosed = 499

// Failure is all that a caller may know of an error. A Surface renders it in its vendor's words.
type Failure struct {
	Status     int
	Kind       fault.Kind
	Code       string // stable, snake_case
	Param      string // the request's field, "" if none
	Message    string
	RetryAfter time.Duration // 0 if unknown
	Retry      *bool         // whether another try makes sense, nil where the status says it
	RequestID  string
}

// statuses are the codes whose status is not their kind's.
var statuses = map[string]int{
	ErrKey.Code:       http.StatusUnauthorized,
	ErrMethod.Code:    http.StatusMethodNotAllowed,
	ErrTooLarge.Code:  http.StatusRequestEntityTooLarge,
	ErrMediaType.Code: http.StatusUnsupportedMediaType,
	ErrSlow.Code:      http.StatusRequestTimeout,
	ErrLate.Code:      http.StatusGatewayTimeout,
	ErrRate.Code:      http.StatusTooManyRequests,
	ErrQuota.Code:     http.StatusTooManyRequests,
	ErrAgain.Code:     http.StatusConflict,
	ErrReused.Code:    http.StatusUnprocessableEntity,
}

func statusOf(kind fault.Kind, code string) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Denied:
		return http.StatusForbidden
	case fault.Busy, fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// FailureOf says what a caller may know of err. The text of an internal error stays inside.
func FailureOf(err error) *Failure {
	f := &Failure{Kind: fault.KindOf(err), Code: fault.CodeOf(err)}
	f.Status = statusOf(f.Kind, f.Code)
	var e *fault.Error
	if errors.As(err, &e) {
		f.Param, f.RetryAfter = e.Param, e.RetryAfter
	}
	switch {
	case f.Kind != fault.Internal:
		f.Message = withoutPackage(err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, "timeout", "the answer took too long"
	case errors.Is(err, context.Canceled):
		f.Status, f.Code, f.Message = statusClosed, "cancelled", "the request was cancelled"
	default:
		f.Code = "internal_error"
		f.Message = "internal error: the server's log has the cause beside this request's id"
	}
	if f.Code == ErrQuota.Code || f.Kind == fault.Unavailable {
		no := false
		f.Retry = &no
	}
	return f
}

// withoutPackage cuts the package's name that our errors begin with.
func withoutPackage(text string) string {
	name, rest, ok := strings.Cut(text, ": ")
	if !ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
		return text
	}
	return rest
}

// headers sets what several vendors' clients read to decide about another try.
func (f *Failure) headers(h http.Header) {
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		h.Set("Retry-After-Ms", strconv.FormatInt(f.RetryAfter.Milliseconds(), 10))
	}
	if f.Retry != nil {
		h.Set("X-Should-Retry", strconv.FormatBool(*f.Retry))
	}
}

// Failure notes an error that is told as part of an answer, and is what the caller may know of it. The log
// has the rest.
func (c *Call) Failure(err error) *Failure {
	f := FailureOf(err)
	f.RequestID = c.ID
	c.err = err
	if f.Kind == fault.Internal {
		c.server.o.Log.Error("request failed", slog.String("id", c.ID), slog.String("error", err.Error()))
	}
	return f
}

// Fail answers with an error in the surface's words. After the first byte of an answer there is
// nothing left to say: the connection is cut, so that no client takes the part for the whole.
func (c *Call) Fail(err error) {
	// net/http ends the context when a body does not arrive; that caller is still there.
	if c.R.Context().Err() != nil && !errors.Is(err, ErrSlow) {
		c.out.status = statusClosed
		return
	}
	f := c.Failure(err)
	if c.out.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if c.body == nil {
		c.expectBody(drainTime)
	}
	f.headers(c.W.Header())
	c.surface.Error(c, f)
}
