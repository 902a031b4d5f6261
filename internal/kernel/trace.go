package kernel

import (
	"fmt"
	"slices"
	"time"
)

// Work is what a task computes, for measurements.
type Work struct {
	Name  string // product Q4_1, attention; of another package's task its type
	Bytes int64  // of weights, or of keys and values, that are read
	Ops   int64  // multiplications and additions
}

// Trace is told of every task when it has ended, on the goroutine of Run's caller.
type Trace func(w Work, took time.Duration)

// SetTrace begins to tell; nil ends it. The pool must be idle. A pool without a trace pays a branch a task.
func (p *Pool) SetTrace(t Trace) { p.trace = t }

func (p *Pool) traced(parts int, t Task) {
	var w Work
	switch t := t.(type) {
	case *product:
		w = t.describe()
	case *Attention:
		w = t.describe()
	default:
		w.Name = fmt.Sprintf("%T", t)
	}
	start := time.Now()
	p.run(parts, t)
	p.trace(w, time.Since(start))
}

// describe adds up the jobs; weights count once, since a part's stay in the cache while rows pass.
func (t *product) describe() Work {
	w := Work{Name: "product"}
	var types []string
	for i := range t.jobs {
		j := &t.jobs[i]
		if j.rows() == 0 {
			continue
		}
		if name := j.W.Type.String(); !slices.Contains(types, name) {
			types = append(types, name)
			w.Name += " " + name
		}
		w.Bytes += int64(j.W.panels()) * int64(j.W.panelBytes)
		w.Ops += 2 * int64(j.rows()) * int64(j.W.Rows) * int64(j.W.Cols)
	}
	return w
}

// describe counts the keys and values that a span's rows see, once, and every row's sums over them.
func (a *Attention) describe() Work {
	w := Work{Name: "attention"}
	for _, s := range a.Spans {
		first := 0 // position that the first row sees
		for r := range s.Rows {
			seen := s.Pos + r + 1
			if a.Window > 0 {
				seen = min(seen, a.Window)
			}
			if r == 0 {
				first = s.Pos + 1 - seen
			}
			w.Ops += 4 * int64(a.Heads) * int64(a.Layout.HeadDim) * int64(seen)
		}
		w.Bytes += int64(s.Pos+s.Rows-first) * int64(a.Layout.TokenBytes())
	}
	return w
}
