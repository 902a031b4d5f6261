package sample

import (
	"math"
	"slices"
)

// likeliest lists the k likeliest tokens, the best first (of equals the lower id), but for those that are negligible.
func (s *Sampler) likeliest(x []float32, k int, most float32) {
	h := s.heap[:0] // the worst on top, once there are k
	for id, v := range x[:k] {
		h = append(h, weighted{id: int32(id), x: v})
	}
	order(h, worse)
	for id := above(x, k, h[0].x); id < len(x); id = above(x, id+1, h[0].x) {
		if v := x[id]; v > h[0].x {
			h[0] = weighted{id: int32(id), x: v}
			sink(h, 0, worse)
		}
	}
	slices.SortFunc(h, func(a, b weighted) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	floor := most - float32(negligible*float64(s.o.Temperature))
	for i := range h {
		if h[i].x < floor {
			h = h[:i]
			break
		}
		h[i].p = s.weight(h[i].x, most)
	}
	s.heap = h
}

// nucleusOf lists the fewest tokens that reach probability p, the best first. Those near the largest logit mostly do; a heap gives them one
// by one, since few of many are kept.
func (s *Sampler) nucleusOf(x []float32, p float64, most float32) {
	wanted := p * s.spread(x, most)
	for far := 6.0; ; far += 2 {
		s.collect(x, most, min(far, negligible))
		var sum float64
		for _, c := range s.heap {
			sum += c.p
		}
		if sum >= wanted || far >= negligible {
			break
		}
	}
	h, taken, sum := s.heap, 0, 0.0
	order(h, better)
	for taken < len(h) { // the heap shrinks from the end; taken ones stand there, best last
		last := len(h) - 1 - taken
		h[0], h[last] = h[last], h[0]
		taken++
		sink(h[:last], 0, better)
		if sum += h[last].p; sum >= wanted {
			break
		}
	}
	kept := h[len(h)-taken:]
	slices.Reverse(kept)
	s.heap = append(h[:0], kept...)
}

// atLeast keeps the tokens that are at least least times as likely as the likeliest.
func (s *Sampler) atLeast(least float64) {
	var most float64
	for _, c := range s.heap {
		most = max(most, c.p)
	}
	s.heap = slices.DeleteFunc(s.heap, func(c weighted) bool { return c.p < most*least })
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

func worse(a, b weighted) bool { return better(b, a) }

// order makes a heap: none is in front of the one above it.
func order(h []weighted, front func(a, b weighted) bool) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i, front)
	}
}

// sink restores the heap below i.
func sink(h []weighted, i int, front func(a, b weighted) bool) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && front(h[child+1], h[child]) {
			child++
		}
		if !front(h[child], h[i]) {
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
