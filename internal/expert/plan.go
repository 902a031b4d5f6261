package expert

import "slices"

// Weights is what a network's weights take in memory, in bytes: of the experts, a class for each shape.
type Weights struct {
	Dense   int64 // everything but the experts
	Experts []Class
	Used    int // experts that a layer sends a token to
}

// Class is a number of experts of one shape.
type Class struct {
	Count int
	Bytes int64 // of one
	shape shape
}

// Add counts an expert and gives what it takes.
func (w *Weights) Add(p *Places) int64 {
	s := p.shape()
	i := slices.IndexFunc(w.Experts, func(c Class) bool { return c.shape == s })
	if i < 0 {
		i = len(w.Experts)
		w.Experts = append(w.Experts, Class{Bytes: s.bytes(), shape: s})
	}
	w.Experts[i].Count++
	return w.Experts[i].Bytes
}

// Total is the memory of all weights.
func (w *Weights) Total() int64 {
	n := w.Dense
	for _, c := range w.Experts {
		n += int64(c.Count) * c.Bytes
	}
	return n
}

// Count is the number of experts, over all layers.
func (w *Weights) Count() (n int) {
	for _, c := range w.Experts {
		n += c.Count
	}
	return n
}

// Share is how many experts of each class are kept, and what those take.
type Share struct {
	Slots []int // [classes]
	Count int   // of all
	Bytes int64
}

// Keep shares room bytes among the classes, as evenly as whole experts allow. No class gets fewer than
// what a layer computes with at once and one to read into, even if that takes more than the room: see
// Share.Bytes.
func (w *Weights) Keep(room int64) Share {
	s := Share{Slots: make([]int, len(w.Experts))}
	give := func(i, n int) {
		s.Slots[i], s.Count, s.Bytes = s.Slots[i]+n, s.Count+n, s.Bytes+int64(n)*w.Experts[i].Bytes
	}
	for i, c := range w.Experts {
		give(i, min(c.Count, w.Used+1))
	}
	for {
		poorest := -1
		for i, c := range w.Experts {
			if s.Slots[i] == c.Count || s.Bytes+c.Bytes > room {
				continue
			}
			if poorest < 0 || s.Slots[i]*w.Experts[poorest].Count < s.Slots[poorest]*c.Count {
				poorest = i
			}
		}
		if poorest < 0 {
			return s
		}
		give(poorest, 1)
	}
}
