package sample

import (
	"math"
	"slices"
)

// rank keeps the first of the tokens by likelihood (of equals the lower id): at most k, and as few as
// reach probability p among those k. A heap gives them one by one, since few of many are kept.
func (s *Sampler) rank(k int, p float64) {
	h := s.heap
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
	n := len(h)
	if k <= 0 || k > n {
		k = n
	}
	var total float64
	if p > 0 && p < 1 && k == n {
		for _, c := range h {
			total += c.p
		}
	}
	taken, sum := 0, 0.0
	for taken < k { // the heap shrinks from the end; taken ones stand there, best last
		last := n - 1 - taken
		h[0], h[last] = h[last], h[0]
		taken++
		sink(h[:last], 0)
		if sum += h[last].p; total > 0 && sum >= p*total {
			break
		}
	}
	kept := h[n-taken:]
	slices.Reverse(kept)
	if p > 0 && p < 1 && k < n {
		kept = nucleus(kept, p)
	}
	s.heap = append(h[:0], kept...)
}

// nucleus is the shortest beginning whose weights reach p of all.
func nucleus(sorted []weighted, p float64) []weighted {
	var total, sum float64
	for _, c := range sorted {
		total += c.p
	}
	for i, c := range sorted {
		sum += c.p
		if sum >= p*total {
			return sorted[:i+1]
		}
	}
	return sorted
}

func better(a, b weighted) bool { return a.x > b.x || a.x == b.x && a.id < b.id }

// sink restores the heap below i: the best on top.
func sink(h []weighted, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && better(h[child+1], h[child]) {
			child++
		}
		if !better(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// typical keeps the tokens whose information is nearest to the expected one (Meister et al. 2022,
// https://arxiv.org/abs/2202.00666).
func (s *Sampler) typical() {
	var total, entropy float64
	for _, c := range s.heap {
		total += c.p
	}
	for _, c := range s.heap {
		if q := c.p / total; q > 0 {
			entropy -= q * math.Log(q)
		}
	}
	far := func(c weighted) float64 { return math.Abs(-math.Log(c.p/total) - entropy) }
	slices.SortFunc(s.heap, func(a, b weighted) int {
		switch fa, fb := far(a), far(b); {
		case fa < fb:
			return -1
		case fa > fb:
			return 1
		}
		return int(a.id - b.id)
	})
	s.heap = nucleus(s.heap, float64(s.o.TypicalP))
}

// Logprobs gives the log-probability of a token in the network's own distribution (before any rule),
// and appends the n most likely to top, the most likely first.
func Logprobs(logits []float32, id int32, n int, top []Candidate) (float32, []Candidate) {
	most := float32(math.Inf(-1))
	for _, v := range logits {
		most = max(most, v)
	}
	var sum float64
	for _, v := range logits {
		if d := v - most; d > -negligible {
			sum += math.Exp(float64(d))
		}
	}
	offset := float64(most) + math.Log(sum)
	begin := len(top)
	for i, v := range logits {
		at := len(top)
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
