package expert

import (
	"math"
	"time"
)

// Paged is one layer of a Store. It implements Layer; one layer of a store is at work at a time.
type Paged struct {
	store   *Store
	layer   int
	entries []entry
	counts  []int32 // [entries] rows for each, of the step at work
	rows    int     // of the step
	wave    []int
}

const (
	// memory of routing: a row counts 1/64, so that what a conversation is about shows within some tens of
	// tokens, and no single step of many rows decides alone.
	rowWeight, mostWeight = 1.0 / 64, 1.0 / 4
	leastShare            = 1e-3
	// smallWave is how many rows a wave may have in any case: the experts of an answer's token are one product.
	smallWave = 128
)

// Want implements Layer. It also keeps each expert's share of rows, and from it how long it is likely to be
// idle: if a step of as many rows as this one uses it with probability p, 1/p - 1 more steps pass on average.
func (l *Paged) Want(counts []int32, rows int) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.demand, s.ahead, s.err = l.layer, s.demand[:0], s.ahead[:0], nil
	l.counts, l.rows = append(l.counts[:0], counts...), rows
	weight := min(mostWeight, rowWeight*float64(rows))
	for i := range l.entries {
		e := &l.entries[i]
		e.share += weight * (float64(counts[i])/float64(rows) - e.share)
		p := max(e.share, leastShare)
		if rows > 1 {
			p = 1 - math.Pow(1-min(p, 1), float64(rows))
		}
		e.wait = (1/p - 1) * float64(len(s.layers))
		e.wanted, e.soon = counts[i] > 0, false
		if !e.wanted {
			continue
		}
		s.stats.Used++
		if !e.ready() {
			s.demand = append(s.demand, e)
			continue
		}
		s.stats.Resident++
		if e.early {
			s.stats.Ahead++
		}
		e.early = false
	}
	if len(s.demand) > 0 {
		s.work.Broadcast()
	}
}

// Soon tells which experts the next layer will probably want: counts [experts] is above 0 for them. They are
// read when nothing is wanted now.
func (l *Paged) Soon(counts []int32) {
	s := l.store
	if l.layer+1 == len(s.layers) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.layers[l.layer+1]
	for i := range next.entries {
		e := &next.entries[i]
		e.soon = counts[i] > 0
		if e.soon && !e.ready() {
			e.early = true
			s.ahead = append(s.ahead, e)
		}
	}
	if len(s.ahead) > 0 {
		s.work.Broadcast()
	}
}

// Next implements Layer. Waves of many rows have no more than the step, so that their work space need not hold several
// experts of every row.
func (l *Paged) Next() ([]int, error) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range l.wave {
		l.entries[i].wanted = false
	}
	if len(l.wave) > 0 && len(s.demand)+len(s.ahead) > 0 { // their memory may be lent
		s.work.Broadcast()
	}
	for l.wave = l.wave[:0]; ; {
		if err := s.err; err != nil {
			l.giveUp()
			return nil, err
		}
		missing, rows := false, 0
		for i := range l.entries {
			switch e := &l.entries[i]; {
			case !e.wanted:
			case !e.ready():
				missing = true
			case len(l.wave) == 0 || rows+int(l.counts[i]) <= max(l.rows, smallWave):
				l.wave, rows = append(l.wave, i), rows+int(l.counts[i])
				e.early = false
			}
		}
		if len(l.wave) > 0 || !missing {
			return l.wave, nil
		}
		start := time.Now()
		s.come.Wait()
		s.stats.Waited += time.Since(start)
	}
}

// giveUp ends a step that cannot be completed.
func (l *Paged) giveUp() {
	for i := range l.entries {
		l.entries[i].wanted = false
	}
	l.store.demand, l.store.err = l.store.demand[:0], nil
}

// At implements Layer.
func (l *Paged) At(e int) *Expert { return l.entries[e].memory }
