package hub

import (
	"context"
	"errors"
	"testing"
)

func TestACopySharesFilesAndOutlivesItsOrigin(t *testing.T) {
	data, other := tinyGGUF(60, 100_000), tinyGGUF(61, 50_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data, "n.gguf": other})
	h := open(t, f, oneFile("one", data), entry("two", []File{{Path: "n.gguf", SHA256: digestOf(other)}}, Parts{"hf:org/repo/n.gguf"}))
	pull(t, h, "one")
	pull(t, h, "two")
	ctx := context.Background()
	for range 2 { // twice is once
		if m, err := h.Copy(ctx, "one", "mine"); err != nil || m.Name != "mine" {
			t.Fatalf("%+v %v", m, err)
		}
	}
	for _, c := range []struct {
		from, to string
		want     error
	}{{"nobody", "x", ErrUnknown}, {"one", "../x", ErrName}, {"one", "two", ErrName}, {"two", "mine", ErrName}} {
		if _, err := h.Copy(ctx, c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
		}
	}
	if r, err := h.Remove(ctx, "one", false); err != nil || r.Files != 0 {
		t.Errorf("the origin's removal took files: %+v %v", r, err)
	}
	got, err := h.Resolve("mine")
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got.Path, data)
	if r, err := h.Remove(ctx, "mine", false); err != nil || r.Files != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
