package kernel

import (
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/dtype"
)

type nothing struct{}

func (nothing) Part(int, int) {}

func TestATraceIsToldWhatEveryTaskReadsAndComputes(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	m, err := Pack(p, dtype.F32, 48, 32, make([]byte, 48*32*4))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var in Input
	p.Set(&in, make([]float32, 3*32), 3, 32)
	layout := CacheLayout{KVHeads: 2, HeadDim: 16, BlockTokens: 32}
	a := &Attention{Layout: layout, Arena: make([]byte, layout.BlockBytes()), Q: make([]float32, 3*4*16), Out: make([]float32, 3*4*16), Heads: 4, Scale: 1, Window: 4,
		Spans: []Span{{Rows: 2, Pos: 5, Table: []int32{0}}, {Start: 2, Rows: 1, Table: []int32{0}}}}
	var got []Work
	p.SetTrace(func(w Work, took time.Duration) {
		if took < 0 {
			t.Errorf("%v took %v", w, took)
		}
		got = append(got, w)
	})
	p.MatMul([]Job{{W: m, In: &in, Dst: make([]float32, 3*48), Stride: 48}})
	p.Attend(a)
	p.Run(4, nothing{})
	p.SetTrace(nil)
	p.Run(4, nothing{})
	seen := int64(4 + 4 + 1) // by the window of 4, by the first position
	want := []Work{
		{"product F32", 48 * 32 * 4, 2 * 3 * 48 * 32, 2 * 3 * 48 * 32, true},
		{"attention", (5 + 1) * int64(layout.TokenBytes()), 4 * 4 * 16 * seen, 4 * 4 * 16 * seen, true},
		{"kernel.nothing", 0, 0, 0, false},
	}
	if len(got) != len(want) {
		t.Fatalf("told of %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("told of %+v, want %+v", got[i], want[i])
		}
	}
}
func TestTheMachinesLimitsAreMeasured(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	l, err := p.Measure(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if l.Bytes <= 0 {
		t.Errorf("memory gives %v bytes a second", l.Bytes)
	}
	if len(Implementations()) == 1 {
		if l.Integers != 0 || l.Floats != 0 {
			t.Errorf("limits of instructions that are not used: %+v", l)
		}
		return
	}
	if l.Floats <= 0 {
		t.Errorf("floats are not measured: %+v", l)
	}
	if quantized := Implementations(); quantized[len(quantized)-1] != "neon" && l.Integers <= l.Floats {
		t.Errorf("integers of 8 bits are no faster than floats: %+v", l)
	}
}
