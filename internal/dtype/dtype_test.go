package dtype

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func TestBlocksHaveTheSizesThatGGUFSays(t *testing.T) {
	var want map[Type][3]any
	if err := json.Unmarshal(testdeps.RunPython(t, "internal/dtype/testdata/sizes.py"), &want); err != nil {
		t.Fatal(err)
	}
	for _, kind := range All() {
		if got := fmt.Sprint([3]any{kind.String(), kind.Elems(), kind.Bytes()}); got != fmt.Sprint(want[kind]) {
			t.Errorf("%s: %s, gguf says %v", kind, got, want[kind])
		}
	}
}

func TestAllListsEveryKnownType(t *testing.T) {
	for n := range Type(1 << 16) {
		if n.Known() != slices.Contains(All(), n) {
			t.Errorf("%s is known: %v, listed: %v", n, n.Known(), !n.Known())
		}
	}
}

func TestRowsAreWholeBlocks(t *testing.T) {
	for _, kind := range All() {
		if n, ok := kind.RowBytes(3 * kind.Elems()); !ok || n != 3*kind.Bytes() {
			t.Errorf("%s: three blocks take %d bytes", kind, n)
		}
		if _, ok := kind.RowBytes(kind.Elems()/2 + kind.Elems()); ok && kind.Elems() > 1 {
			t.Errorf("%s takes one and a half blocks", kind)
		}
		if _, ok := kind.RowBytes(-kind.Elems()); ok {
			t.Errorf("%s takes a negative row", kind)
		}
	}
}
