package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

var errTooLong = New(Invalid, "context_length_exceeded", "engine: prompt is too long")

func TestAnOccurrenceMatchesItsCauseAndWhatItWraps(t *testing.T) {
	err := fmt.Errorf("chat: %w", errTooLong.Because("engine: prompt has %d tokens: %w", 9000, io.ErrUnexpectedEOF).At("messages").After(time.Second))
	if !errors.Is(err, errTooLong) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal("the chain is broken")
	}
	var e *Error
	if !errors.As(err, &e) || e.Param != "messages" || e.RetryAfter != time.Second {
		t.Fatalf("lost its details: %+v", e)
	}
	if KindOf(err) != Invalid || CodeOf(err) != "context_length_exceeded" {
		t.Fatal(KindOf(err), CodeOf(err))
	}
	if got := e.Error(); got != "engine: prompt has 9000 tokens: unexpected EOF" {
		t.Fatal(got)
	}
}

func TestAnUnknownErrorIsInternal(t *testing.T) {
	if KindOf(io.EOF) != Internal || CodeOf(io.EOF) != "internal_error" || KindOf(errTooLong) != Invalid {
		t.Fatal("wrong kind")
	}
}
