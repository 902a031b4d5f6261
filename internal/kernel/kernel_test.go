package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// fromGGUF gives blocks and their values by the Python package gguf.
func fromGGUF(t *testing.T, kind dtype.Type, blocks int) (data []byte, values []float32) {
	testdeps.Depends(t, "testdata/dequantize.py")
	out, err := exec.Command(testdeps.Python(t), "testdata/dequantize.py", kind.String(), fmt.Sprint(blocks)).Output()
	if err != nil {
		t.Fatal(err)
	}
	elems, bytes := kind.Elems(), kind.Bytes()
	if elems == 1 {
		elems, bytes = 64, 64*bytes
	}
	if len(out) != blocks*(bytes+4*elems) {
		t.Fatalf("got %d bytes", len(out))
	}
	data = out[:blocks*bytes]
	values = make([]float32, blocks*elems)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[blocks*bytes+4*i:]))
	}
	return data, values
}

func TestDequantizeAsGGUFDoes(t *testing.T) {
	for _, kind := range dtype.All() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			data, want := fromGGUF(t, kind, 500)
			got := make([]float32, len(want))
			Dequantize(kind, got, data)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("weight %d is %v, gguf says %v", i, got[i], want[i])
				}
			}
		})
	}
}

// randomWeights makes rows of finite blocks with scales of a network's size.
func randomWeights(rng *rand.Rand, kind dtype.Type, rows, cols int) []byte {
	bytes, _ := kind.RowBytes(cols)
	data := make([]byte, rows*bytes)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	half := func(b []byte) { binary.LittleEndian.PutUint16(b, ToF16(float32(rng.NormFloat64())*0.01)) }
	size := kind.Bytes()
	for at := 0; at < len(data); at += size {
		b := data[at : at+size]
		switch kind {
		case dtype.F32:
			binary.LittleEndian.PutUint32(b, math.Float32bits(float32(rng.NormFloat64())))
		case dtype.F16:
			half(b)
		case dtype.BF16:
			binary.LittleEndian.PutUint16(b, uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
		case dtype.MXFP4:
			b[0] = 120 + byte(rng.IntN(8))
		case dtype.Q2_K:
			half(b[80:])
			half(b[82:])
		case dtype.Q3_K:
			half(b[108:])
		case dtype.Q6_K:
			half(b[208:])
		default:
			half(b)
			if kind == dtype.Q4_1 || kind == dtype.Q5_1 || kind == dtype.Q4_K || kind == dtype.Q5_K {
				half(b[2:])
			}
		}
	}
	return data
}

func randomFloats(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func mustPack(t testing.TB, p *Pool, kind dtype.Type, rows, cols int, data []byte) *Matrix {
	t.Helper()
	m, err := Pack(p, kind, rows, cols, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestPackedRowsDecodeToTheSameWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range dtype.All() {
		rows, cols := 37, 512
		data := randomWeights(rng, kind, rows, cols)
		want := make([]float32, rows*cols)
		Dequantize(kind, want, data)
		m := mustPack(t, nil, kind, rows, cols, data)
		if m.Bytes() != PackedBytes(kind, rows, cols) {
			t.Errorf("%s: %d bytes, PackedBytes says %d", kind, m.Bytes(), PackedBytes(kind, rows, cols))
		}
		got := make([]float32, cols)
		for r := range rows {
			m.Row(r, got)
			for i, v := range got {
				if v != want[r*cols+i] {
					t.Fatalf("%s row %d weight %d: %v, want %v", kind, r, i, v, want[r*cols+i])
				}
			}
		}
	}
}

// TestNarrowMatricesOnAFreshPool has no whole panel, so that nothing was prepared by one.
func TestNarrowMatricesOnAFreshPool(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const rows, cols, n = 5, 256, 8
	x := randomFloats(rng, n*cols)
	for _, kind := range dtype.All() {
		pool := NewPool(1)
		m := mustPack(t, pool, kind, rows, cols, randomWeights(rng, kind, rows, cols))
		together, alone := make([]float32, n*rows), make([]float32, n*rows)
		var in Input
		pool.Set(&in, x, n, cols)
		pool.MatMul([]Job{{W: m, In: &in, Dst: together, Stride: rows}})
		for r := range n {
			pool.MatMul([]Job{{W: m, In: &in, First: r, Count: 1, Dst: alone[r*rows:], Stride: rows}})
		}
		if !slices.Equal(together, alone) {
			t.Errorf("%s: %v together, %v alone", kind, together, alone)
		}
		pool.Close()
	}
}

// TestMatMulIsTheProductOfTheDequantizedWeights bounds the error that 8-bit activations bring.
func TestMatMulIsTheProductOfTheDequantizedWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pool := NewPool(2)
	defer pool.Close()
	for _, kind := range dtype.All() {
		limit := 1e-4 // 8-bit activations: the step is 1/127 of a block's largest, error² about (1/127·2.5)²/12
		if kind.Elems() == 1 {
			limit = 1e-11
		}
		if nmse := productError(t, rng, pool, kind, false); !(nmse < limit) {
			t.Errorf("%s: NMSE %g, at most %g", kind, nmse, limit)
		}
	}
}

// TestAnOutputRowDependsOnItsOwnInputRowAlone compares bits: every row alone, in a batch of any
// size, gathered by Rows, on one thread and two, and by generic Go.
func TestAnOutputRowDependsOnItsOwnInputRowAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	one, two := NewPool(1), NewPool(2)
	defer one.Close()
	defer two.Close()
	for _, kind := range dtype.All() {
		rows, cols, n := 40, 256, 70
		m := mustPack(t, nil, kind, rows, cols, randomWeights(rng, kind, rows, cols))
		x := randomFloats(rng, n*cols)
		batch := make([]float32, n*rows)
		var in Input
		two.Set(&in, x, n, cols)
		two.MatMul([]Job{{W: m, In: &in, Dst: batch, Stride: rows}})
		gathered := make([]float32, 3*rows)
		var some Input
		two.Gather(&some, &in, []int32{3, 69, 0, 5, 5})
		two.MatMul([]Job{{W: m, In: &some, First: 1, Count: 3, Dst: gathered, Stride: rows}})
		for i, r := range []int{69, 0, 5} {
			same(t, kind, "gathered", gathered[i*rows:(i+1)*rows], batch[r*rows:(r+1)*rows])
		}
		alone := make([]float32, rows)
		for r := range n {
			var in Input
			one.Set(&in, x[r*cols:(r+1)*cols], 1, cols)
			one.MatMul([]Job{{W: m, In: &in, Dst: alone, Stride: rows}})
			same(t, kind, "alone", alone, batch[r*rows:(r+1)*rows])
		}
	}
}

func same(t *testing.T, kind dtype.Type, how string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s %s: output %d is %v, in the batch %v", kind, how, i, got[i], want[i])
		}
	}
}

func TestF16RoundTripsAndRounds(t *testing.T) {
	for h := range 1 << 16 {
		f := FromF16(uint16(h))
		if f != f {
			continue
		}
		if got := ToF16(f); got != uint16(h) {
			t.Fatalf("%#04x became %v became %#04x", h, f, got)
		}
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for n := range 258 {
		x := randomFloats(rng, n)
		got, want := make([]uint16, n), make([]uint16, n)
		toF16(got, x)
		toF16Generic(want, x)
		back, backWant := make([]float32, n), make([]float32, n)
		fromF16(back, want)
		fromF16Generic(backWant, want)
		same(t, dtype.F16, "widened", back, backWant)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v: %#x, generic %#x", x[i], got[i], want[i])
			}
		}
	}
}

// TestExpIsExact: e^x is within 0.9 units in the last place.
func TestExpIsExact(t *testing.T) {
	worst, at := 0.0, float32(0)
	for x := float32(-90); x < expHigh; x += 0.00137 {
		want, got := math.Exp(float64(x)), exp32(x)
		if x < expLow && got == 0 {
			continue
		}
		_, exponent := math.Frexp(want)
		if units := math.Abs(float64(got)-want) / math.Ldexp(1, exponent-24); units > worst {
			worst, at = units, x
		}
	}
	if t.Logf("off by %.3f units at most, at %v", worst, at); worst > 0.9 {
		t.Error("too far")
	}
	if exp32(0) != 1 || exp32(float32(math.Inf(-1))) != 0 || exp32(-1e30) != 0 || !math.IsNaN(float64(exp32(nan32()))) {
		t.Error("edges")
	}
	if most := exp32(expHigh); most < 1.7e38 || exp32(1e30) != most || exp32(float32(math.Inf(1))) != most {
		t.Error("a high x")
	}
}

// TestExpRoundsOnceAStep: near the middle of two integers a product that was rounded before it is added gives another integer,
// and bits that depend on the machine.
func TestExpRoundsOnceAStep(t *testing.T) {
	x := []float32{0, nan32(), float32(math.Inf(-1)), -1e30, expLow, 1e30, expHigh}
	for n := float32(-125.5); n < 127; n++ {
		at := math.Float32bits(n / log2e)
		for d := range uint32(9) {
			x = append(x, math.Float32frombits(at+d-4))
		}
	}
	got, want := make([]float32, len(x)), make([]float32, len(x))
	expSum(got, x, 0)
	for i, v := range x {
		want[i] = exp32(v)
		if product := float64(v) * float64(float32(log2e)); v > expLow && v < expHigh {
			if got, want := float64(fma32(v, log2e, magic)-magic), math.RoundToEven(product); got != want {
				t.Errorf("%v is %v times log 2, want %v", v, got, want)
			}
		}
	}
	same(t, dtype.F32, "exp", got, want)
}

// TestQ8RoundsProductsFirst: near the middle of two integers a product that was not rounded, as one fused with the next addition
// is, gives another integer.
func TestQ8RoundsProductsFirst(t *testing.T) {
	const most = 3.3
	inverse := float32(127) / most
	q := []float32{most}
	for n := float32(0.5); n < 127; n++ {
		at := math.Float32bits(n / inverse)
		for d := range uint32(9) {
			q = append(q, math.Float32frombits(at+d-4))
		}
	}
	scale, codes := make([]byte, 4), make([]byte, len(q))
	quantizeQ8(scale, codes, 1, q)
	for i, v := range q {
		if want := math.RoundToEven(float64(float32(v * inverse))); float64(int8(codes[i])) != want {
			t.Errorf("%v became %d, want %v", v, int8(codes[i]), want)
		}
	}
}

// TestVectorsMatchGeneric: the same bits from assembly and Go, for every length, and nothing written
// past the end.
func TestVectorsMatchGeneric(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for n := range 258 {
		x, up := randomFloats(rng, n+1), randomFloats(rng, n+1)
		for i := range x {
			x[i] *= 20
		}
		a, b := append([]float32(nil), x...), append([]float32(nil), x...)
		swiGLU(a[:n], up[:n])
		swiGLUGeneric(b[:n], up[:n])
		same(t, dtype.F32, fmt.Sprint("swiglu ", n), a, b)
		copy(a, x)
		copy(b, x)
		sa, sb := expSum(a[:n], a[:n], 30), expSumGeneric(b[:n], b[:n], 30)
		same(t, dtype.F32, fmt.Sprint("exp ", n), append(a, sa), append(b, sb))
		var pa, pb [32]float32
		squares(x[:n], &pa)
		squaresGeneric(x[:n], &pb)
		same(t, dtype.F32, "squares", pa[:], pb[:])
		codes := make([]byte, n)
		for i := range codes {
			codes[i] = byte(rng.Uint32())
		}
		widenRow(a[:n], codes, 0.3)
		widenRowGeneric(b[:n], codes, 0.3)
		same(t, dtype.F32, fmt.Sprint("widen ", n), a, b)
		for name, f := range map[string][2]func(x, y, z []float32){
			"add":         {func(x, y, _ []float32) { add(x, y) }, func(x, y, _ []float32) { addGeneric(x, y) }},
			"addScaled":   {func(x, y, _ []float32) { addScaled(x, y, 0.3) }, func(x, y, _ []float32) { addScaledGeneric(x, y, 0.3) }},
			"scale":       {func(x, _, _ []float32) { scale(x, 0.3) }, func(x, _, _ []float32) { scaleGeneric(x, 0.3) }},
			"scaleBy":     {func(x, y, z []float32) { scaleBy(x, y, z, 0.3) }, func(x, y, z []float32) { scaleByGeneric(x, y, z, 0.3) }},
			"rope pairs":  {func(x, y, z []float32) { k := len(x) / 2; ropePairs(x[:2*k], y[:k], z[:k]) }, func(x, y, z []float32) { k := len(x) / 2; ropePairsGeneric(x[:2*k], y[:k], z[:k]) }},
			"rope halves": {func(x, y, z []float32) { k := len(x) / 2; ropeHalves(x[:k], x[k:2*k], y[:k], z[:k]) }, func(x, y, z []float32) { k := len(x) / 2; ropeHalvesGeneric(x[:k], x[k:2*k], y[:k], z[:k]) }},
		} {
			copy(a, x)
			copy(b, x)
			f[0](a[:n], up[:n], up[1:n+1])
			f[1](b[:n], up[:n], up[1:n+1])
			same(t, dtype.F32, fmt.Sprint(name, " ", n), a, b)
		}
	}
}

// TestFMAHasOneRounding compares with arithmetic in 200 bits.
func TestFMAHasOneRounding(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for range 200000 {
		a, b, c := math.Float32frombits(rng.Uint32()), math.Float32frombits(rng.Uint32()), math.Float32frombits(rng.Uint32())
		switch rng.IntN(3) {
		case 0: // of one size
			c = -float32(a*b) * (1 + float32(rng.IntN(9)-4)*0x1p-23)
		case 1: // a sum near the middle of two float32
			a, b, c = float32(rng.IntN(1<<24)), 0x1p-30*float32(rng.IntN(1<<12)), float32(rng.IntN(1<<24))*0x1p-24
		}
		if f := a + b + c; f-f != 0 {
			continue // infinite or NaN: float64 arithmetic passes them on
		}
		exact := new(big.Float).SetPrec(600).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		exact.Add(new(big.Float).SetPrec(600).Set(exact), big.NewFloat(float64(c)))
		want, _ := exact.Float32()
		if got := fma32(a, b, c); got != want {
			t.Fatalf("fma(%v, %v, %v) = %v, want %v", a, b, c, got, want)
		}
	}
}

func TestAttentionIsSoftmaxOfScoresTimesValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	pool := NewPool(2)
	defer pool.Close()
	for _, c := range []struct {
		kind             CacheType
		heads, kv, dim   int
		window           int
		softCap, maxNMSE float32
	}{{CacheF16, 6, 2, 64, 0, 0, 1e-6}, {CacheF16, 4, 4, 16, 20, 0, 1e-6}, {CacheF16, 2, 1, 12, 0, 5, 1e-6}, {CacheQ8, 6, 2, 64, 0, 0, 2e-4},
		{CacheI16, 6, 2, 64, 0, 0, 3e-8}, {CacheI16, 3, 3, 128, 20, 0, 3e-8}, {CacheI16, 12, 1, 256, 0, 5, 3e-8}} {
		const tokens = 100
		l := CacheLayout{KVHeads: c.kv, HeadDim: c.dim, BlockTokens: 32, Type: c.kind}
		arena := make([]byte, 5*l.BlockBytes())
		table := []int32{3, 0, 4, 1}
		k, v, q := randomFloats(rng, tokens*c.kv*c.dim), randomFloats(rng, tokens*c.kv*c.dim), randomFloats(rng, tokens*c.heads*c.dim)
		for i := range tokens {
			w := c.kv * c.dim
			l.Store(arena, table[i/32], i%32, k[i*w:(i+1)*w], v[i*w:(i+1)*w])
		}
		a := Attention{Layout: l, Arena: arena, Heads: c.heads, Scale: 0.2, SoftCap: c.softCap, Window: c.window,
			Q: q, Out: make([]float32, len(q)), Spans: []Span{{Start: 0, Rows: tokens, Table: table}}}
		pool.Attend(&a)
		var diff, size float64
		for i := range tokens {
			for h := range c.heads {
				want := naiveAttention(q, k, v, i, h, c.heads, c.kv, c.dim, c.window, float64(c.softCap))
				for d, w := range want {
					e := w - float64(a.Out[(i*c.heads+h)*c.dim+d])
					diff, size = diff+e*e, size+w*w
				}
			}
		}
		if nmse := diff / size; !(nmse < float64(c.maxNMSE)) {
			t.Errorf("%+v: NMSE %g", c, nmse)
		}
		chunked := make([]float32, len(q))
		for _, cut := range [][2]int{{0, 1}, {1, 18}, {18, 19}, {19, 100}} {
			b := a
			b.scratch, b.Spans = nil, []Span{{Start: cut[0], Rows: cut[1] - cut[0], Pos: cut[0], Table: table}}
			b.Out = chunked
			pool.Attend(&b)
		}
		same(t, dtype.F32, fmt.Sprintf("chunked attention %+v", c), chunked, a.Out)
	}
}

// TestCopiedSlotsAttendAsTheOriginals: a block's first slots, copied, give the bits that they gave.
func TestCopiedSlotsAttendAsTheOriginals(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	pool := NewPool(1)
	defer pool.Close()
	for _, kind := range []CacheType{CacheF16, CacheQ8, CacheI16} {
		for _, dim := range []int{12, 64} {
			if kind == CacheI16 && dim%intsDims != 0 {
				continue
			}
			const tokens = 40
			l := CacheLayout{KVHeads: 2, HeadDim: dim, BlockTokens: 32, Type: kind}
			arena := make([]byte, 4*l.BlockBytes())
			for i := range arena {
				arena[i] = byte(rng.Uint32()) // what others left behind
			}
			for i := range tokens {
				l.Store(arena, int32(i/32), i%32, randomFloats(rng, 2*dim), randomFloats(rng, 2*dim))
			}
			l.CopySlots(arena, 3, 1, 8)
			q := randomFloats(rng, 4*dim)
			out := [2][]float32{make([]float32, len(q)), make([]float32, len(q))}
			for i, table := range [][]int32{{0, 1}, {0, 3}} {
				pool.Attend(&Attention{Layout: l, Arena: arena, Heads: 4, Scale: 0.2, Q: q, Out: out[i],
					Spans: []Span{{Rows: 1, Pos: tokens - 1, Table: table}}})
			}
			same(t, dtype.F32, fmt.Sprint("copied ", kind, dim), out[1], out[0])
		}
	}
}

func naiveAttention(q, k, v []float32, pos, h, heads, kv, dim, window int, limit float64) []float64 {
	from := 0
	if window > 0 {
		from = max(0, pos-window+1)
	}
	g := h / (heads / kv)
	var total float64
	out := make([]float64, dim)
	for s := from; s <= pos; s++ {
		var dot float64
		for d := range dim {
			dot += float64(q[(pos*heads+h)*dim+d]) * float64(k[(s*kv+g)*dim+d])
		}
		dot *= 0.2
		if limit > 0 {
			dot = limit * math.Tanh(dot/limit)
		}
		p := math.Exp(dot)
		total += p
		for d := range dim {
			out[d] += p * float64(v[(s*kv+g)*dim+d])
		}
	}
	for d := range out {
		out[d] /= total
	}
	return out
}

func TestPoolRunsEveryPartOnceAndAllocatesNothing(t *testing.T) {
	for threads := 1; threads < 5; threads++ {
		p := NewPool(threads)
		c := &counter{n: make([]int32, 100)}
		for range 200 {
			p.Run(100, c)
		}
		for i, n := range c.n {
			if n != 200 {
				t.Fatalf("part %d ran %d times", i, n)
			}
		}
		if n := testing.AllocsPerRun(50, func() { p.Run(100, c) }); n != 0 {
			t.Fatalf("%v allocations", n)
		}
		p.Close()
	}
}

type bomb struct{}

func (bomb) Part(part, _ int) {
	if part == 7 {
		panic("part 7")
	}
}

func TestAPanicInAPartIsTheCallersAndThePoolGoesOn(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for range 20 {
		func() {
			defer func() {
				if r := recover(); r != "part 7" {
					t.Fatalf("recovered %v", r)
				}
			}()
			p.Run(50, bomb{})
		}()
	}
	c := &counter{n: make([]int32, 10)}
	p.Run(10, c)
	if c.n[9] != 1 {
		t.Fatal("the pool stopped working")
	}
}

type counter struct{ n []int32 }

func (c *counter) Part(part, _ int) { c.n[part]++ }

func TestBadShapesAreRefused(t *testing.T) {
	for _, c := range []struct{ rows, cols, bytes int }{{1, 33, 20}, {0, 32, 0}, {2, 32, 20}, {-1, 32, 20}} {
		if m, err := Pack(nil, dtype.Q4_1, c.rows, c.cols, make([]byte, c.bytes)); err == nil {
			t.Errorf("%+v gave %v", c, m)
		}
	}
}

// TestAttentionOnAnyNumberOfWorkers: pieces of several key heads, of one and of a part of its queries have the same bits.
func TestAttentionOnAnyNumberOfWorkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(25, 26))
	const tokens, dim, heads, kv = 75, 16, 9, 3
	l := CacheLayout{KVHeads: kv, HeadDim: dim, BlockTokens: maxBlock}
	arena := make([]byte, 3*l.BlockBytes())
	for i := range tokens {
		l.Store(arena, int32(i/maxBlock), i%maxBlock, randomFloats(rng, kv*dim), randomFloats(rng, kv*dim))
	}
	table := []int32{0, 1, 2}
	spans := []Span{{Start: 0, Rows: 1, Pos: tokens - 1, Table: table}, {Start: 1, Rows: 5, Pos: 60, Table: table},
		{Start: 6, Rows: 2, Pos: 63, Table: table}, {Start: 8, Rows: 1, Pos: 40, Table: table}}
	pieces := []int{4, 6, 8, 10} // for two workers: of the first of three spans and more one, of others a key head each
	q := randomFloats(rng, 9*heads*dim)
	for n := 1; n <= len(spans); n++ {
		var want []float32
		for _, threads := range []int{1, 2, 4, 5, 16} {
			pool := NewPool(threads)
			a := Attention{Layout: l, Arena: arena, Heads: heads, Scale: 0.2, Q: q, Out: make([]float32, len(q)), Spans: spans[:n]}
			for i := range a.Out {
				a.Out[i] = nan32()
			}
			pool.Attend(&a)
			pool.Close()
			if got := len(a.pieces); threads == 2 && got != pieces[n-1] {
				t.Errorf("%d spans of three key heads are %d pieces for two workers", n, got)
			}
			if want == nil {
				want = a.Out
			}
			same(t, dtype.F32, fmt.Sprintf("%d spans on %d workers", n, threads), a.Out, want)
		}
	}
}
