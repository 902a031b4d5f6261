package serve

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// TestAModelWhoseFileChangedWhileItWasPackedIsLoadedAnew: answers fail as long as the file is another one under the
// model, and nobody has to unload it.
func TestAModelWhoseFileChangedWhileItWasPackedIsLoadedAnew(t *testing.T) {
	path := testdeps.Mixture{Dim: 512, Layers: 10, FFN: 2304, Experts: 8, Used: 2}.Write(t)
	s, _ := mixture(t, path, 0)
	want := text(whole(t, s, complete("w300 hello", 4)), 0)
	if err := s.unload(context.Background(), "mixture"); err != nil {
		t.Fatal(err)
	}
	ask := func() (string, error) {
		st, err := s.Respond(context.Background(), complete("w300 hello", 4))
		if err != nil {
			return "", err
		}
		r, err := chat.Collect(context.Background(), st)
		if err != nil {
			return "", err
		}
		return text(r, 0), nil
	}
	var m *loaded
	var packing error
	for range 5 { // on a machine that is busy enough it may be packed before the file is touched
		var err error
		if m, err = s.use(context.Background(), "mixture"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if packing = m.network.Wait(); packing != nil {
			break
		}
		m.release(nil)
		if err := s.unload(context.Background(), "mixture"); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(packing, weights.ErrChanged) {
		t.Fatalf("packing ended with %v", packing)
	}
	if _, err := ask(); !errors.Is(err, weights.ErrChanged) {
		t.Errorf("the answer ended with %v", err)
	}
	m.release(nil)
	if got, err := ask(); got != want || err != nil {
		t.Errorf("loaded anew it answers %q, %v; before it was %q", got, err, want)
	}
}
