package testdeps

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Claims are texts, each with a schema, of which a test says whether they fit; Python's jsonschema judges them.
type Claims struct {
	lines bytes.Buffer
	Count int
}

// Claim is one of them.
type Claim struct {
	Schema json.RawMessage `json:"schema"`
	Text   string          `json:"text"`
	Match  bool            `json:"match"`  // it is valid JSON of the schema
	Narrow bool            `json:"narrow"` // what does not match may still be valid
	Of     string          `json:"of"`     // where it comes from, for who reads that it is wrong
}

// Add adds one.
func (c *Claims) Add(t testing.TB, one Claim) {
	t.Helper()
	line, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	c.lines.Write(append(line, '\n'))
	c.Count++
}

// Check has all of them judged.
func (c *Claims) Check(t testing.TB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "claims")
	if err := os.WriteFile(file, c.lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(string(RunPython(t, "internal/grammar/testdata/validate.py", file))), "\n")
	if got := out[len(out)-1]; got != strconv.Itoa(c.Count) {
		t.Fatalf("the oracle read %s claims, not %d", got, c.Count)
	}
	for _, wrong := range out[:len(out)-1] {
		t.Errorf("wrong: %s", wrong)
	}
}

// OneOf draws a token of a mask; -1 if it has none.
func OneOf(mask []uint64, r *rand.Rand) int32 {
	count := 0
	for _, w := range mask {
		count += bits.OnesCount64(w)
	}
	if count == 0 {
		return -1
	}
	n := r.IntN(count)
	for i, w := range mask {
		if k := bits.OnesCount64(w); n >= k {
			n -= k
			continue
		}
		for ; n > 0; n-- {
			w &= w - 1
		}
		return int32(i*64 + bits.TrailingZeros64(w))
	}
	panic("testdeps: a mask has changed")
}
