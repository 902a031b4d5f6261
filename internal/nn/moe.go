package nn

import (
	"slices"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
)

// MoE sends each token to the Used experts with the highest router scores and adds their answers by
// weight (Shazeer et al. 2017, https://arxiv.org/abs/1701.06538; Jiang et al. 2024,
// https://arxiv.org/abs/2401.04088). A drop-in for GatedMLP.
//
// The experts are computed in the order in which they are in memory, and added in the order of their
// scores: what is in memory never changes a result.
type MoE struct {
	Router    *kernel.Matrix // [experts][width]
	Experts   expert.Layer
	Used      int
	Normalize bool // weights of the chosen experts add up to 1

	// Next is the next layer's router, nil where nothing is read ahead. Seen with this layer's input it tells
	// most of what that layer will want (Eliseev and Mazur 2023, https://arxiv.org/abs/2312.17238).
	Next *kernel.Matrix

	act      Activation
	work     *FeedForwardWork
	inner    int // of an expert
	activate func(row, worker int)
	combine  func(row, worker int)
	routeRow func(row, worker int)
	nextRow  func(row, worker int)
	dst      []float32
}

// choice is one expert of one token.
type choice struct {
	expert int32
	weight float32
	at     int32 // the assignment: its row of the experts' results
}

// routing is what a router says of a step's rows.
type routing struct {
	scores []float32 // [rows][experts]
	route  []choice  // [rows][used]
	counts []int32   // [experts] rows that each is for
}

func (r *routing) reserve(rows, experts, used int) {
	r.scores = kernel.Grow(r.scores, rows*experts)
	r.route = slices.Grow(r.route[:0], rows*used)[:rows*used]
	r.counts = slices.Grow(r.counts[:0], experts)[:experts]
}

// count fills counts.
func (r *routing) count() {
	clear(r.counts)
	for _, c := range r.route {
		r.counts[c.expert]++
	}
}

// NewMoE makes the part; inner is the width within an expert.
func NewMoE(router *kernel.Matrix, experts expert.Layer, inner, used int, normalize bool, act Activation, work *FeedForwardWork) *MoE {
	m := &MoE{Router: router, Experts: experts, Used: used, Normalize: normalize, act: act, work: work, inner: inner}
	choose := func(r *routing, experts int) func(row, _ int) {
		return func(row, _ int) { m.choose(r.scores[row*experts:(row+1)*experts], r.route[row*m.Used:(row+1)*m.Used]) }
	}
	if router != nil { // nil: a tensor is missing, which the caller knows
		m.routeRow, m.nextRow = choose(&work.routing, router.Rows), choose(&work.next, router.Rows)
	}
	m.activate = func(row, _ int) {
		m.act(m.work.gate[row*m.inner:(row+1)*m.inner], m.work.up[row*m.inner:(row+1)*m.inner])
		m.work.mid.Filled(row)
	}
	m.combine = func(row, _ int) {
		width := m.Router.Cols
		out := m.dst[row*width : (row+1)*width]
		clear(out)
		for _, c := range m.work.route[row*m.Used : (row+1)*m.Used] {
			kernel.AddScaled(out, m.work.out[int(c.at)*width:][:width], c.weight)
		}
	}
	return m
}

// choose takes the softmax of one token's scores, then the best experts, the best first; of equals the
// lower number.
func (m *MoE) choose(scores []float32, out []choice) {
	kernel.Softmax(scores)
	var sum float32
	for i := range out {
		best := 0
		for e, v := range scores {
			if v > scores[best] {
				best = e
			}
		}
		out[i] = choice{expert: int32(best), weight: scores[best]}
		sum += scores[best]
		scores[best] = -1
	}
	if m.Normalize {
		for i := range out {
			out[i].weight /= sum
		}
	}
}

// Apply implements FeedForward.
func (m *MoE) Apply(s *Step, in *kernel.Input, dst []float32) {
	if s.Rows == 0 { // nobody wants this layer's outcome: no expert is needed
		return
	}
	w, width := m.work, m.Router.Cols
	m.route(s, in)
	w.out = kernel.Grow(w.out, s.Rows*m.Used*width)
	for done := 0; ; {
		wave, err := m.Experts.Next()
		if err != nil {
			s.Err = err
			return
		}
		if len(wave) == 0 {
			break
		}
		done += m.compute(s, in, wave, done)
	}
	m.dst = dst
	s.Each(m.combine)
}

// route asks the router, and tells which experts are wanted now and which will be.
func (m *MoE) route(s *Step, in *kernel.Input) {
	w, n := m.work, m.Router.Rows
	w.routing.reserve(s.Rows, n, m.Used)
	s.jobs = append(s.jobs[:0], kernel.Job{W: m.Router, In: in, Dst: w.scores, Stride: n})
	if m.Next != nil {
		w.next.reserve(s.Rows, n, m.Used)
		s.jobs = append(s.jobs, kernel.Job{W: m.Next, In: in, Dst: w.next.scores, Stride: n})
	}
	s.Pool.MatMul(s.jobs)
	s.Each(m.routeRow)
	w.routing.count()
	m.Experts.Want(w.counts, s.Rows)
	if m.Next != nil {
		s.Each(m.nextRow)
		w.next.count()
		m.Experts.Soon(w.next.counts)
	}
}

// compute runs some experts for all rows that are sent to them. Their results go behind the done ones that are
// there; it gives their number.
func (m *MoE) compute(s *Step, in *kernel.Input, wave []int, done int) int {
	w, width, inner := m.work, m.Router.Cols, m.inner
	total := w.gather(wave, m.Used, done)
	w.gate, w.up = kernel.Grow(w.gate, total*inner), kernel.Grow(w.up, total*inner)
	s.Pool.Gather(&w.sorted, in, w.order)
	s.jobs = s.jobs[:0]
	for i, first := 0, 0; i < len(wave); i++ {
		e, n := m.Experts.At(wave[i]), int(w.counts[wave[i]])
		s.jobs = append(s.jobs,
			kernel.Job{W: e.Gate, In: &w.sorted, First: first, Count: n, Dst: w.gate[first*inner:], Stride: inner},
			kernel.Job{W: e.Up, In: &w.sorted, First: first, Count: n, Dst: w.up[first*inner:], Stride: inner})
		first += n
	}
	s.Pool.MatMul(s.jobs)
	s.Pool.Expect(&w.mid, w.gate, total, inner)
	w.mid.ReadAs(&w.sorted)
	s.eachOf(total, m.activate)
	s.jobs = s.jobs[:0]
	for i, first := 0, 0; i < len(wave); i++ {
		e, n := m.Experts.At(wave[i]), int(w.counts[wave[i]])
		s.jobs = append(s.jobs, kernel.Job{W: e.Down, In: &w.mid, First: first, Count: n, Dst: w.out[(done+first)*width:], Stride: width})
		first += n
	}
	s.Pool.MatMul(s.jobs)
	return total
}

// gather puts the rows of a wave's experts in the order of the experts, gives each choice its place among the
// results, and returns how many rows there are.
func (w *FeedForwardWork) gather(wave []int, used, done int) int {
	w.slots = slices.Grow(w.slots[:0], len(w.counts))[:len(w.counts)]
	for e := range w.slots {
		w.slots[e] = -1
	}
	total := 0
	for _, e := range wave {
		w.slots[e] = int32(total)
		total += int(w.counts[e])
	}
	w.order = slices.Grow(w.order[:0], total)[:total]
	for i := range w.routing.route {
		c := &w.routing.route[i]
		if at := w.slots[c.expert]; at >= 0 {
			c.at = int32(done) + at
			w.order[at] = int32(i / used)
			w.slots[c.expert]++
		}
	}
	return total
}

// eachOf is Each for another number of rows.
func (s *Step) eachOf(rows int, f func(row, worker int)) {
	keep := s.Rows
	s.Rows = rows
	s.Each(f)
	s.Rows = keep
}
