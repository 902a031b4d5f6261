package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
)

func keep(t *testing.T, s *Store, k Kept) Kept {
	t.Helper()
	k.Owner, k.Dialect = "me", "plain"
	k, err := s.Keep(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func settled(t *testing.T, s *Store, id string) Kept {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		k, err := s.Kept(context.Background(), "me", "plain", id)
		if err != nil {
			t.Fatal(err)
		}
		if k.Ended() {
			return k
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not end: %+v", k)
		}
	}
}

// talk says n events and ends.
func talk(n int) Do {
	return func(ctx context.Context, _, _, _ string, body []byte) (Answer, error) {
		sink := SinkOf(ctx)
		for i := range n {
			sink.Add(Event{N: i, Name: "e", Text: fmt.Appendf(nil, "%d", i)})
		}
		sink.End(json.RawMessage(`"whole"`))
		return Answer{Status: 200}, nil
	}
}

func TestAnAnswerIsMadeInTheBackgroundWithItsEvents(t *testing.T) {
	s := open(t, t.TempDir())
	k := keep(t, s, Kept{State: Queued, Path: "/say", Request: json.RawMessage(`1`), Answer: json.RawMessage(`"begun"`)})
	running(t, s, talk(50))
	if k = settled(t, s, k.ID); k.State != Done || string(k.Answer) != `"whole"` {
		t.Errorf("%+v", k)
	}
	for after, want := range map[int]int{-1: 50, 10: 39, 49: 0} {
		if events, err := s.Events(context.Background(), k.ID, after); err != nil || len(events) != want || want > 0 && events[0].N != after+1 {
			t.Errorf("after %d: %v %v", after, events, err)
		}
	}
	if err := s.Drop(context.Background(), "me", "plain", k.ID); err != nil {
		t.Fatal(err)
	}
	if events, err := s.Events(context.Background(), k.ID, -1); err != nil || len(events) != 0 {
		t.Errorf("%v %v", events, err)
	}
	if _, err := s.Kept(context.Background(), "me", "plain", k.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestWhatADeadProcessSaidIsForgotten(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	k := keep(t, s, Kept{State: Queued, Path: "/say"})
	said := make(chan struct{})
	stop := running(t, s, func(ctx context.Context, _, _, _ string, _ []byte) (Answer, error) {
		SinkOf(ctx).Add(Event{N: 0, Name: "old"})
		for events := []Event(nil); len(events) == 0; events, _ = s.Events(context.Background(), k.ID, -1) {
			time.Sleep(time.Millisecond)
		}
		close(said)
		<-ctx.Done()
		return Answer{}, ctx.Err()
	})
	<-said
	stop()
	other := open(t, home)
	running(t, other, talk(2))
	if k = settled(t, other, k.ID); k.State != Done {
		t.Errorf("%+v", k)
	}
	if events, err := s.Events(context.Background(), k.ID, -1); err != nil || len(events) != 2 || events[0].Name != "e" {
		t.Errorf("%v %v", events, err)
	}
}

func TestAnAnswerThatCannotBeMadeSaysWhy(t *testing.T) {
	s := open(t, t.TempDir())
	gone := fault.New(fault.Denied, "invalid_api_key", "the key is gone")
	tries := 0
	running(t, s, func(_ context.Context, key, _, _ string, _ []byte) (Answer, error) {
		switch key {
		case "gone":
			return Answer{}, gone
		case "cut":
			return Answer{Status: 500, Body: []byte("cut")}, nil
		}
		if tries++; tries == 1 {
			return Answer{Status: 503, Retry: true}, nil
		}
		return Answer{Status: 400, Body: []byte(`{"error":{"code":"bad"}}`)}, nil
	})
	for key, want := range map[string]string{"gone": `{"error":{"code":"invalid_api_key","message":"the key is gone"}}`, "cut": `{"error":{"code":"internal_error","message":"the answer was cut"}}`, "": `{"error":{"code":"bad"}}`} {
		if k := settled(t, s, keep(t, s, Kept{State: Queued, Path: "/say", Key: key}).ID); k.State != Refused || string(k.Failure) != want {
			t.Errorf("%q: %+v %s", key, k, k.Failure)
		}
	}
}

func TestAnAnswerThatWaitsOrWorksCanBeStopped(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := context.Background()
	waits := keep(t, s, Kept{State: Queued, Path: "/say"})
	if k, err := s.Stop(ctx, "me", "plain", waits.ID); err != nil || k.State != Stopped {
		t.Errorf("%+v %v", k, err)
	}
	begun := make(chan struct{})
	running(t, s, func(ctx context.Context, _, _, _ string, _ []byte) (Answer, error) {
		close(begun)
		<-ctx.Done()
		return Answer{}, ctx.Err()
	})
	works := keep(t, s, Kept{State: Queued, Path: "/say"})
	<-begun
	if k, err := s.Stop(ctx, "me", "plain", works.ID); err != nil || k.State != Stopping {
		t.Errorf("%+v %v", k, err)
	}
	if k := settled(t, s, works.ID); k.State != Stopped {
		t.Errorf("%+v", k)
	}
}

func TestAChainGivesTheOldestFirst(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := context.Background()
	var ids []string
	previous := ""
	for range 5 {
		previous = keep(t, s, Kept{State: Done, Previous: previous}).ID
		ids = append(ids, previous)
	}
	chain, err := s.Chain(ctx, "me", "plain", previous)
	if err != nil || len(chain) != 5 {
		t.Fatal(chain, err)
	}
	for i, k := range chain {
		if k.ID != ids[i] {
			t.Errorf("%d is %s, want %s", i, k.ID, ids[i])
		}
	}
	if err := s.Drop(ctx, "me", "plain", ids[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Chain(ctx, "me", "plain", previous); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	// One that goes on from itself, which only a broken database has, ends too.
	loop := keep(t, s, Kept{ID: "loop", State: Done, Previous: "loop"})
	if _, err := s.Chain(ctx, "me", "plain", loop.ID); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}
