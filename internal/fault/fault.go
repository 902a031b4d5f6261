// Package fault answers one question about any error: whose turn is it now? There are
// six kinds; everything that crosses a package border and reaches a user is one of them.
//
// A cause is a sentinel made once with [New]; an occurrence adds its numbers and its
// remedy with [Cause.Because] and still matches the sentinel under errors.Is.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what the caller can do about an error.
type Kind uint8

const (
	Internal    Kind = iota // a broken invariant of ours: the text goes to the log, not to users
	Invalid                 // the request is wrong: mend it and call again
	NotFound                // the named thing does not exist
	Denied                  // the caller may not do this
	Busy                    // the same call may succeed later
	Unavailable             // the thing exists and cannot be used now: an operator must act
)

func (k Kind) String() string {
	return [...]string{"internal", "invalid", "not_found", "denied", "busy", "unavailable"}[k]
}

// Cause is a sentinel: one reason for failing, made once per package in its errors.go.
type Cause struct {
	Kind Kind
	Code string // stable, machine-readable, snake_case: context_length_exceeded
	text string
}

// New makes a sentinel. Text is lower case and starts with the package's name.
func New(kind Kind, code, text string) *Cause {
	return &Cause{Kind: kind, Code: code, text: text}
}

func (c *Cause) Error() string { return c.text }

// Because is one occurrence of the cause. The formatted text replaces the sentinel's own:
// it gives the numbers and the remedy. %w is honoured.
func (c *Cause) Because(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Cause: c, text: err.Error(), inner: errors.Unwrap(err)}
}

// Error is an occurrence of a Cause.
type Error struct {
	*Cause
	Param      string        // the request's field that is wrong, "" if none: messages[2].content
	RetryAfter time.Duration // for Busy: when another try makes sense, 0 if unknown
	text       string
	inner      error
}

func (e *Error) Error() string { return e.text }

// Unwrap gives the sentinel and, where there is one, the error underneath.
func (e *Error) Unwrap() []error {
	if e.inner == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.inner}
}

// At names the request's field that is wrong.
func (e *Error) At(param string) *Error { e.Param = param; return e }

// After says when another try makes sense.
func (e *Error) After(d time.Duration) *Error { e.RetryAfter = d; return e }

// KindOf is the kind of the outermost fault in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if c := causeOf(err); c != nil {
		return c.Kind
	}
	return Internal
}

// CodeOf is the code of the outermost fault in err's chain, "internal_error" if there is none.
func CodeOf(err error) string {
	if c := causeOf(err); c != nil {
		return c.Code
	}
	return "internal_error"
}

func causeOf(err error) *Cause {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	var c *Cause
	if errors.As(err, &c) {
		return c
	}
	return nil
}
