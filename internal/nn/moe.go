package nn

import (
	"slices"

	"github.com/galerne-ai/galerne/internal/kernel"
)

// Expert is one feed-forward of a mixture.
type Expert struct{ Gate, Up, Down *kernel.Matrix }

// MoE sends each token to the Used experts with the highest router scores and adds their answers by
// weight (Shazeer et al. 2017, https://arxiv.org/abs/1701.06538; Jiang et al. 2024,
// https://arxiv.org/abs/2401.04088). A drop-in for GatedMLP.
type MoE struct {
	Router    *kernel.Matrix // [experts][width]
	Experts   []Expert
	Used      int
	Normalize bool // weights of the chosen experts add up to 1
	act       Activation
	work      *FeedForwardWork
	activate  func(row, worker int)
	combine   func(row, worker int)
	routeRow  func(row, worker int)
	dst       []float32
}

// choice is one expert of one token.
type choice struct {
	expert int32
	weight float32
	at     int32 // the assignment: its row in the experts' buffers
}

// NewMoE makes the part.
func NewMoE(router *kernel.Matrix, experts []Expert, used int, normalize bool, act Activation, work *FeedForwardWork) *MoE {
	m := &MoE{Router: router, Experts: experts, Used: used, Normalize: normalize, act: act, work: work}
	m.routeRow = func(row, _ int) {
		n := len(m.Experts)
		m.choose(m.work.scores[row*n:(row+1)*n], m.work.route[row*m.Used:(row+1)*m.Used])
	}
	m.activate = func(row, _ int) {
		n := m.Experts[0].Gate.Rows
		m.act(m.work.gate[row*n:(row+1)*n], m.work.up[row*n:(row+1)*n])
	}
	m.combine = func(row, _ int) {
		width := m.Experts[0].Down.Rows
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
func (m *MoE) Apply(s *Step, x, dst []float32) {
	w, width, inner := m.work, m.Experts[0].Down.Rows, m.Experts[0].Gate.Rows
	w.scores = grow(w.scores, s.Rows*len(m.Experts))
	s.Pool.Set(&w.in, x, s.Rows, m.Router.Cols)
	s.jobs = append(s.jobs[:0], kernel.Job{W: m.Router, In: &w.in, Dst: w.scores, Stride: len(m.Experts)})
	s.Pool.MatMul(s.jobs)
	total := s.Rows * m.Used
	w.route = slices.Grow(w.route[:0], total)[:total]
	s.Each(m.routeRow)
	m.gather(s.Rows)

	w.gate, w.up, w.out = grow(w.gate, total*inner), grow(w.up, total*inner), grow(w.out, total*width)
	s.Pool.Gather(&w.sorted, &w.in, w.order)
	s.jobs = s.jobs[:0]
	for e := range m.Experts {
		if first, n := w.starts[e], w.starts[e+1]-w.starts[e]; n > 0 {
			s.jobs = append(s.jobs,
				kernel.Job{W: m.Experts[e].Gate, In: &w.sorted, First: first, Count: n, Dst: w.gate[first*inner:], Stride: inner},
				kernel.Job{W: m.Experts[e].Up, In: &w.sorted, First: first, Count: n, Dst: w.up[first*inner:], Stride: inner})
		}
	}
	s.Pool.MatMul(s.jobs)
	s.eachOf(total, m.activate)
	s.Pool.Set(&w.mid, w.gate, total, inner)
	s.jobs = s.jobs[:0]
	for e := range m.Experts {
		if first, n := w.starts[e], w.starts[e+1]-w.starts[e]; n > 0 {
			s.jobs = append(s.jobs, kernel.Job{W: m.Experts[e].Down, In: &w.mid, First: first, Count: n, Dst: w.out[first*width:], Stride: width})
		}
	}
	s.Pool.MatMul(s.jobs)
	m.dst = dst
	s.Each(m.combine)
}

// gather puts the choices in the order of their experts, and gives each its place.
func (m *MoE) gather(rows int) {
	w, n := m.work, len(m.Experts)
	if len(w.starts) < n+1 {
		w.starts, w.slots = make([]int, n+1), make([]int32, n)
	}
	clear(w.slots)
	for _, c := range w.route {
		w.slots[c.expert]++
	}
	for e := range n {
		w.starts[e+1] = w.starts[e] + int(w.slots[e])
		w.slots[e] = int32(w.starts[e])
	}
	w.order = slices.Grow(w.order[:0], rows*m.Used)[:rows*m.Used]
	for i := range w.route {
		c := &w.route[i]
		c.at = w.slots[c.expert]
		w.slots[c.expert]++
		w.order[c.at] = int32(i / m.Used)
	}
}

// eachOf is Each for another number of rows.
func (s *Step) eachOf(rows int, f func(row, worker int)) {
	keep := s.Rows
	s.Rows = rows
	s.Each(f)
	s.Rows = keep
}
