package sample

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
)

// stretch is how many neighbouring tokens' weights are summed in one.
const stretch = 256

// spread sums the weights e^((x-most)/T) of all tokens, by stretches.
func (s *Sampler) spread(x []float32, most float32) (total float64) {
	s.sums = s.sums[:0]
	for at := 0; at < len(x); at += stretch {
		sum := weigh(&s.some, x[at:min(at+stretch, len(x))], most, s.o.Temperature)
		s.sums = append(s.sums, sum)
		total += sum
	}
	return total
}

// weigh makes the weights of a stretch, and gives their sum: good to a millionth.
func weigh(w *[stretch]float32, x []float32, most, temperature float32) float64 {
	for i, v := range x {
		w[i] = (v - most) / temperature
	}
	return float64(kernel.ExpSum(w[:len(x)], w[:len(x)], 0))
}

// drawOf takes a token of all by its weight, as draw does of those that are listed; best is the likeliest.
func (s *Sampler) drawOf(x []float32, best int32) int32 {
	u := uniform(s.o.Seed, uint64(s.choice), uint64(s.drawn)) * s.spread(x, x[best])
	for i, sum := range s.sums {
		if u >= sum {
			u -= sum
			continue
		}
		from := i * stretch
		n := min(stretch, len(x)-from)
		weigh(&s.some, x[from:from+n], x[best], s.o.Temperature)
		last := best
		for id, w := range s.some[:n] {
			if w > 0 {
				last = int32(from + id)
			}
			if u -= float64(w); u < 0 {
				break
			}
		}
		return last
	}
	return best // the last digit of a sum
}

// Logprobs gives the log-probability of a token in the network's own distribution (before any rule),
// and appends the n most likely to top, the most likely first.
func Logprobs(logits []float32, id int32, n int, top []Candidate) (float32, []Candidate) {
	most := float32(math.Inf(-1))
	for at := above(logits, 0, most); at < len(logits); at = above(logits, at+1, most) {
		most = max(most, logits[at])
	}
	var sum float64
	var some [stretch]float32
	for at := 0; at < len(logits); at += stretch {
		sum += weigh(&some, logits[at:min(at+stretch, len(logits))], most, 1)
	}
	offset := float64(most) + math.Log(sum)
	begin := len(top)
	for i := 0; n > 0 && i < len(logits); i++ {
		if len(top)-begin == n {
			if i = above(logits, i, top[len(top)-1].Logprob); i == len(logits) {
				break
			}
		}
		v, at := logits[i], len(top)
		for at > begin && v > top[at-1].Logprob {
			at--
		}
		if at-begin >= n {
			continue
		}
		if len(top)-begin < n {
			top = append(top, Candidate{})
		}
		copy(top[at+1:], top[at:])
		top[at] = Candidate{int32(i), v}
	}
	for i := begin; i < len(top); i++ {
		top[i].Logprob = float32(float64(top[i].Logprob) - offset)
	}
	return float32(float64(logits[id]) - offset), top
}
