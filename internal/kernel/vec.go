package kernel

import "math"

// RMSNorm is
//
//	dst[i] = x[i] / sqrt(mean(x²) + eps) · w[i]
//
// dst may be x. (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.)
func RMSNorm(dst, x, w []float32, eps float32) {
	scale := float32(1 / math.Sqrt(float64(sumSquares(x))/float64(len(x))+float64(eps)))
	scaleBy(dst[:len(x)], x, w[:len(x)], scale)
}

// scaleByGeneric is dst[i] = x[i]·f·w[i].
func scaleByGeneric(dst, x, w []float32, f float32) {
	for i, v := range x {
		dst[i] = float32(v*f) * w[i]
	}
}

// LayerNorm is
//
//	dst[i] = (x[i] - mean(x)) / sqrt(var(x) + eps) · w[i] + b[i]
//
// dst may be x; b may be nil. (Ba et al. 2016, https://arxiv.org/abs/1607.06450.)
func LayerNorm(dst, x, w, b []float32, eps float32) {
	var mean, variance float64
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(variance/float64(len(x))+float64(eps))
	for i, v := range x {
		dst[i] = float32((float64(v) - mean) * scale * float64(w[i]))
		if b != nil {
			dst[i] += b[i]
		}
	}
}

// sumSquares is Σ x², in 32 interleaved parts: of four vectors of eight, none of which waits for another.
func sumSquares(x []float32) float32 {
	var part [32]float32
	squares(x, &part)
	var eight [8]float32
	for i := range eight {
		eight[i] = (part[i] + part[i+8]) + (part[i+16] + part[i+24])
	}
	return sumParts(&eight)
}

// squaresGeneric adds x[i]² to part[i%32].
func squaresGeneric(x []float32, part *[32]float32) {
	for i, v := range x {
		part[i%32] += float32(v * v)
	}
}

// sumParts adds eight partial sums in the order that vector instructions fold them.
func sumParts(p *[8]float32) float32 {
	return ((p[0] + p[4]) + (p[1] + p[5])) + ((p[2] + p[6]) + (p[3] + p[7]))
}

// Add is dst[i] += x[i].
func Add(dst, x []float32) { add(dst, x[:len(dst)]) }

func addGeneric(dst, x []float32) {
	for i := range dst {
		dst[i] += x[i]
	}
}

// AddScaled is dst[i] += f·x[i].
func AddScaled(dst, x []float32, f float32) { addScaled(dst, x[:len(dst)], f) }

func addScaledGeneric(dst, x []float32, f float32) {
	for i := range dst {
		dst[i] += float32(f * x[i])
	}
}

// Scale is x[i] *= f.
func Scale(x []float32, f float32) { scale(x, f) }

func scaleGeneric(x []float32, f float32) {
	for i := range x {
		x[i] *= f
	}
}

// SoftCap is x[i] = limit · tanh(x[i]/limit).
func SoftCap(x []float32, limit float32) {
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}

// Softmax is x[i] = exp(x[i]-max(x)) / Σ exp(x-max(x)). An empty x stays empty.
func Softmax(x []float32) {
	most := float32(math.Inf(-1))
	for _, v := range x {
		most = max(most, v)
	}
	sum := expSum(x, x, most)
	for i := range x {
		x[i] /= sum
	}
}

// SwiGLU is gate[i] = gate[i]·sigmoid(gate[i])·up[i]. (Shazeer 2020, https://arxiv.org/abs/2002.05202.)
func SwiGLU(gate, up []float32) { swiGLU(gate, up[:len(gate)]) }

func swiGLUGeneric(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + exp32(-g)) * up[i]
	}
}

// GeGLU is gate[i] = gelu(gate[i])·up[i] with the tanh form of GELU.
func GeGLU(gate, up []float32) {
	up = up[:len(gate)]
	const c = 0.7978845608028654 // sqrt(2/π)
	for i, g := range gate {
		x := float64(g)
		gate[i] = float32(0.5*x*(1+math.Tanh(c*(x+0.044715*x*x*x)))) * up[i]
	}
}

// GELU is x[i] = x[i]·Φ(x[i]), by the error function. (Hendrycks and Gimpel, https://arxiv.org/abs/1606.08415.)
func GELU(x []float32) {
	for i, v := range x {
		x[i] = float32(0.5 * float64(v) * (1 + math.Erf(float64(v)/math.Sqrt2)))
	}
}

// Rope turns the pairs of one head x [2n] by angles given as cos, sin [n]. A pair is
// (x[2i], x[2i+1]) if interleaved, else (x[i], x[i+n]). (Su et al., https://arxiv.org/abs/2104.09864.)
func Rope(x, cos, sin []float32, interleaved bool) {
	if interleaved {
		ropePairs(x[:2*len(cos)], cos, sin[:len(cos)])
		return
	}
	ropeHalves(x[:len(cos)], x[len(cos):2*len(cos)], cos, sin[:len(cos)])
}

func ropePairsGeneric(x, cos, sin []float32) {
	for i, c := range cos {
		a, b, s := x[2*i], x[2*i+1], sin[i]
		x[2*i], x[2*i+1] = float32(a*c)-float32(b*s), float32(a*s)+float32(b*c)
	}
}

func ropeHalvesGeneric(lo, hi, cos, sin []float32) {
	for i, c := range cos {
		a, b, s := lo[i], hi[i], sin[i]
		lo[i], hi[i] = float32(a*c)-float32(b*s), float32(a*s)+float32(b*c)
	}
}

// ExpSum is dst[i] = exp(x[i]-most), and gives their sum. dst may be x.
func ExpSum(dst, x []float32, most float32) float32 { return expSum(dst[:len(x)], x, most) }

// expSumGeneric is dst[i] = exp(x[i]-most), and their sum in eight interleaved parts. dst may be x.
func expSumGeneric(dst, x []float32, most float32) float32 {
	var part [8]float32
	for i, v := range x {
		e := exp32(v - most)
		dst[i] = e
		part[i%8] += e
	}
	return sumParts(&part)
}

// Constants of exp32: x = n·ln2 + r, |r| ≤ ln2/2, exp(x) = 2^n·exp(r); ln2 in two parts so that r is
// good to the last bit; exp(r) by the polynomial of six terms behind the 1 whose greatest error is least, 2^-28.
const (
	expLow  = -87.33654 // below it the result would be subnormal: 0
	expHigh = 88.02969  // above it 2^n would not fit: the result stays there
	log2e   = 1.44269504
	ln2High = 0.693147182464599609375
	ln2Low  = -1.904654323148236e-9
	magic   = 3 << 22 // 1.5·2^23: adding it leaves no bits behind the point, and an integer in the last ones
)

// expTerms are those of r^6 to r^0.
var expTerms = [...]float32{0.00138145401, 0.00836874511, 0.0416683908, 0.166665204, 0.499999934, 1, 1}

// exp32 is e^x in float32, within a unit in the last place; 0 below expLow. Every step has one rounding.
func exp32(x float32) float32 {
	if !(x >= expLow) {
		if x != x {
			return x
		}
		return 0
	}
	x = min(x, expHigh)
	shifted := fma32(x, log2e, magic)
	n := shifted - magic
	r := fma32(n, -ln2Low, fma32(n, -ln2High, x))
	p := expTerms[0]
	for _, c := range expTerms[1:] {
		p = fma32(p, r, c)
	}
	return p * math.Float32frombits(math.Float32bits(shifted)<<23+math.Float32bits(1))
}

// roundEven rounds to the nearest integer, ties to even, for |x| < 2^22.
func roundEven(x float32) float32 {
	// Where x is a product, some machines would fuse it with the addition, unrounded, but for the conversion.
	return float32(float32(x)+magic) - magic
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

func nan32() float32 { return math.Float32frombits(0x7fc00000) }

// fma32 is a·b+c with one rounding. The product is exact in float64, and so in effect is its sum with c, unless that seems to be in
// the middle of two float32: there the last 28 bits are zeros.
func fma32(a, b, c float32) float32 {
	s := float64(a)*float64(b) + float64(c)
	if math.Float64bits(s)<<36 == 0 {
		return fmaExact(a, b, c)
	}
	return float32(s)
}

// fmaExact is fma32 of any numbers: the sum is rounded to an odd last bit where it is not exact, so that rounding to float32 afterwards
// is right. (Boldo and Melquiond 2008, Emulation of FMA and correctly rounded sums.)
func fmaExact(a, b, c float32) float32 {
	p, z := float64(a)*float64(b), float64(c)
	s := p + z
	back := s - p
	rest := (p - (s - back)) + (z - back) // what the sum lost, exactly
	if bits := math.Float64bits(s); rest != 0 && bits&1 == 0 && !math.IsInf(s, 0) && rest == rest {
		if (rest > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}
