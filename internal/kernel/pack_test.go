package kernel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

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

// TestADeferredMatrixComputesAsThePackedOne: the same bits before it is packed, while it is, and then, of every type, of
// few rows and many, of panels that fill a part and of a last one that is not whole.
func TestADeferredMatrixComputesAsThePackedOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 11))
	for _, threads := range []int{1, 3} {
		p := NewPool(threads)
		defer p.Close()
		for _, kind := range dtype.All() {
			for _, shape := range [][2]int{{3, 256}, {5*panelRows + 5, 512}} {
				rows, cols := shape[0], shape[1]
				data := randomWeights(rng, kind, rows, cols)
				packed := mustPack(t, p, kind, rows, cols, data)
				m, err := Defer(p, kind, rows, cols, data)
				if err != nil {
					t.Fatal(err)
				}
				if m.Bytes() != packed.Bytes() {
					t.Fatalf("%d bytes, %d when packed", m.Bytes(), packed.Bytes())
				}
				for more, round := true, 0; ; round++ {
					n := []int{1, 2, 17, 70}[round%4]
					x := randomFloats(rng, n*cols)
					how := fmt.Sprintf("%d×%d, %d rows, %d threads, round %d", rows, cols, n, threads, round)
					same(t, kind, how, products(p, m, x, n), products(p, packed, x, n))
					got, want := make([]float32, cols), make([]float32, cols)
					m.Row(rows-1, got)
					packed.Row(rows-1, want)
					same(t, kind, how+" Row", got, want)
					if !more {
						break
					}
					if round >= 3 {
						more = m.PackSome()
					}
				}
				clear(data) // nobody needs it now
				x := randomFloats(rng, cols)
				same(t, kind, "without its data", products(p, m, x, 1), products(p, packed, x, 1))
				m.Close()
				packed.Close()
			}
		}
	}
}

// products is a matrix times rows, twice in one phase, since parts keep what they packed.
func products(p *Pool, m *Matrix, x []float32, n int) []float32 {
	var in Input
	p.Set(&in, x, n, m.Cols)
	out := make([]float32, 2*n*m.Rows)
	p.MatMul([]Job{{W: m, In: &in, Dst: out[:n*m.Rows], Stride: m.Rows}, {W: m, In: &in, Dst: out[n*m.Rows:], Stride: m.Rows}})
	return out
}

// TestAMatrixIsPackedBesideProducts packs while others compute: every product has the packed one's bits.
func TestAMatrixIsPackedBesideProducts(t *testing.T) {
	const rows, cols, n = 512, 4096, 2
	rng := rand.New(rand.NewPCG(5, 5))
	p := NewPool(2)
	defer p.Close()
	data, x := randomWeights(rng, dtype.Q4_K, rows, cols), randomFloats(rng, n*cols)
	want := products(p, mustPack(t, p, dtype.Q4_K, rows, cols, data), x, n)
	for range 5 {
		mapped := bytes.Clone(data)
		m, err := Defer(p, dtype.Q4_K, rows, cols, mapped)
		if err != nil {
			t.Fatal(err)
		}
		var packed atomic.Bool
		go func() {
			for m.PackSome() {
			}
			clear(mapped)
			packed.Store(true)
		}()
		for before := false; !before; {
			before = packed.Load()
			same(t, dtype.Q4_K, "beside packing", products(p, m, x, n), want)
		}
		m.Close()
	}
}

// TestPackingEndsAfterTheLastReader: what Defer was given may be unmapped when PackSome says that nothing is left.
func TestPackingEndsAfterTheLastReader(t *testing.T) {
	m, err := Defer(nil, dtype.F32, 16, 4, make([]byte, 16*16))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.readers.Add(1)
	ended := make(chan bool)
	go func() { ended <- m.PackSome() }()
	select {
	case <-ended:
		t.Fatal("it ended while somebody read")
	case <-time.After(20 * time.Millisecond):
	}
	m.readers.Add(-1)
	if <-ended {
		t.Error("more is left of one panel")
	}
}
