package kernel

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestManyRowsPackAsOneByOneDo compares whole panels, which are packed many rows at a time, with what lane by lane
// gives, in memory that nobody had cleared.
func TestManyRowsPackAsOneByOneDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, kind := range dtype.All() {
		for _, cols := range []int{kind.Elems(), 4 * kind.Elems(), 256, 768} {
			if _, ok := kind.RowBytes(cols); !ok {
				continue
			}
			const rows = 3*panelRows + 5
			m, err := NewMatrix(kind, rows, cols)
			if err != nil {
				t.Fatal(err)
			}
			stride := m.rowBytes()
			data := make([]byte, rows*stride)
			for i := range data {
				data[i] = byte(rng.Uint32()) // any bits: NaNs too are only moved
			}
			for i := range m.data {
				m.data[i] = 0xa5
			}
			want := bytes.Clone(m.data)
			for panel := range m.panels() {
				to := min((panel+1)*panelRows, rows)
				m.packLanes(want[panel*m.panelBytes:][:m.panelBytes], data[panel*panelRows*stride:to*stride], stride)
			}
			m.PackRows(2*panelRows, data[2*panelRows*stride:]) // in parts, the last first
			m.PackRows(0, data[:2*panelRows*stride])
			if i := firstDifference(m.data, want); i >= 0 {
				t.Errorf("%s with %d columns: byte %d of panel %d is %#x, want %#x", kind, cols, i%m.panelBytes, i/m.panelBytes, m.data[i], want[i])
			}
			m.Close()
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func TestTransposeMovesWordsAlone(t *testing.T) {
	const stride, runs = 101, 5
	rows := make([]byte, 15*stride+16*runs) // a read behind the last row would be seen by the race detector at best
	for i := range rows {
		rows[i] = byte(i * 7)
	}
	got, want := make([]byte, 256*runs+64), make([]byte, 256*runs+64)
	transpose(got, rows, stride, runs)
	transposeGeneric(want, rows, stride, runs)
	if !bytes.Equal(got, want) {
		t.Error("the lines differ, or the guard behind them")
	}
}
