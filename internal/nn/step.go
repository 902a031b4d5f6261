// Package nn answers: what are networks made of? Linear maps, norms, rotary positions, attention,
// feed-forward and mixtures of experts, as parts without flags: a different part is another type.
//
// Every part works on rows of float32, one row a token, and keeps its scratch memory from step to
// step. A row's result depends on that row and its own sequence alone, bit for bit.
package nn

import (
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
)

// Step is what the parts of a network share while it runs over one batch.
type Step struct {
	Pool      *kernel.Pool
	Rows      int
	Positions []int32   // [Rows]
	Spans     []kv.Span // in the order of their rows
	Cache     *kv.Cache
	Err       error   // why a part could not compute, for lack of its weights; what was computed is void
	place     []place // [Rows] where each row's keys and values go
	read      []bool  // [Rows] see kernel.Input.Read
	narrow    struct {
		positions []int32
		spans     []kv.Span
	}
	rows rowTask
	jobs []kernel.Job
}

type place struct {
	block int32
	slot  int32
}

// Begin prepares the step's tables; call it after the fields above are set.
func (s *Step) Begin() {
	s.setRead()
	if s.Cache == nil {
		return
	}
	size := s.Cache.Layout.BlockTokens
	s.place = s.place[:0]
	for i := range s.Spans {
		span := &s.Spans[i]
		for r := range span.Rows {
			pos := span.Pos + r
			s.place = append(s.place, place{span.Table[pos/size], int32(pos % size)})
		}
	}
}

// setRead takes from the spans which rows are read.
func (s *Step) setRead() {
	s.read = s.read[:0]
	for i := range s.Spans {
		for range s.Spans[i].Rows {
			s.read = append(s.read, s.Spans[i].Read)
		}
	}
}

// Set is Pool.Set of the step's rows.
func (s *Step) Set(in *kernel.Input, x []float32, cols int) {
	s.Pool.Set(in, x, s.Rows, cols)
	in.Read(s.read)
}

// Expect is Pool.Expect of the step's rows.
func (s *Step) Expect(in *kernel.Input, x []float32, cols int) {
	s.Pool.Expect(in, x, s.Rows, cols)
	in.Read(s.read)
}

// Narrow leaves some rows, ascending, to what follows: they are row 0, 1 and so on now. Until the next Begin no keys and
// values can be put in the cache.
func (s *Step) Narrow(rows []int32) {
	n := &s.narrow
	n.positions, n.spans, s.place = n.positions[:0], n.spans[:0], s.place[:0]
	at := 0
	for i := range s.Spans {
		span := &s.Spans[i]
		end := span.Start + span.Rows
		for at < len(rows) && int(rows[at]) < end {
			first := at
			for at++; at < len(rows) && rows[at] == rows[at-1]+1 && int(rows[at]) < end; at++ {
			}
			n.spans = append(n.spans, kv.Span{Start: first, Rows: at - first, Pos: span.Pos + int(rows[first]) - span.Start, Table: span.Table, Read: span.Read})
		}
	}
	for _, r := range rows {
		n.positions = append(n.positions, s.Positions[r])
	}
	s.Rows, s.Positions, s.Spans = len(rows), n.positions, n.spans
	s.setRead()
}

// Each calls f for every row, shared among the pool's threads. f is made once by a part's constructor,
// so that a step allocates nothing.
func (s *Step) Each(f func(row, worker int)) {
	const few = 4 // below it waking the other threads costs more than the rows
	parts := 1
	if s.Rows >= few {
		parts = min(s.Rows, 16*s.Pool.Threads())
	}
	s.rows = rowTask{f: f, rows: s.Rows, parts: parts}
	s.Pool.Run(parts, &s.rows)
}

type rowTask struct {
	f           func(row, worker int)
	rows, parts int
}

// Part runs one contiguous share of the rows.
func (t *rowTask) Part(part, worker int) {
	for r := part * t.rows / t.parts; r < (part+1)*t.rows/t.parts; r++ {
		t.f(r, worker)
	}
}
