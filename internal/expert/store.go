package expert

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/weights"
)

// Reader reads a model's files, as a weights.Reader does.
type Reader interface {
	// Read gives n bytes of a part from offset on, in buffer, which has weights.ReadSlack bytes more.
	Read(buffer []byte, part int, offset int64, n int) ([]byte, error)
	Close() error
}

// Options of a store.
type Options struct {
	Layers  [][]Places // [layers][experts]
	Used    int        // experts that a layer sends a token to
	Room    int64      // bytes of memory for experts; Weights.Keep says what is made of it
	Reader  Reader     // Close closes it
	Readers int        // reads under way at once. Default 4.
	Lazy    bool       // do not fill free memory while nothing is asked for
}

const (
	defaultReaders = 4
	// pieceBytes is what one read brings: long enough for the disk's full speed, short enough for an expert
	// that is needed now not to wait behind one that may be.
	pieceBytes = 1 << 20
)

// Store keeps as many experts as its room holds. Layer gives each layer's view of it.
type Store struct {
	reader  Reader
	layers  []*Paged
	classes []*class
	share   Share

	mu      sync.Mutex
	work    *sync.Cond // readers wait: something may be read
	come    *sync.Cond // Next waits: an expert is there, or cannot be read
	closed  bool
	current int      // the layer at work
	demand  []*entry // wanted by the layer at work and not in memory
	ahead   []*entry // that the next layer will probably want
	fill    []*entry // for memory that nobody has used yet
	lazy    bool
	err     error // why a wanted expert could not be read
	stats   Stats
	done    sync.WaitGroup
	free    []func()
}

// class is the experts of one shape, which can take each other's memory.
type class struct {
	pieces  []piece
	entries []*entry // by number, then by layer: filling takes the same share of each layer
	free    []*Expert
}

// piece is what one read brings: whole panels of one matrix.
type piece struct {
	matrix int
	row    int
	offset int64 // from the matrix's first byte
	bytes  int
}

// entry is one expert.
type entry struct {
	layer  int
	class  *class
	places Places
	memory *Expert // nil: none
	handed int     // pieces that readers have taken
	packed int     // pieces that are in memory
	broken bool    // a read failed; the memory is given back after the last one under way
	wanted bool    // by the layer at work
	soon   bool    // by the next, probably
	early  bool    // it was read ahead, and was not used since
	share  float64 // of recent rows that were sent to it
	wait   float64 // layers until it is used again, beyond those until its own: see Want
}

func (e *entry) ready() bool { return e.memory != nil && e.packed == len(e.class.pieces) }

// busy reports whether reads of it are under way.
func (e *entry) busy() bool { return e.handed > e.packed }

// New makes a store and begins to read. Error: no memory.
func New(o Options) (*Store, error) {
	s := &Store{reader: o.Reader, lazy: o.Lazy}
	s.work, s.come = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	w := Weights{Used: o.Used}
	for _, layer := range o.Layers {
		for e := range layer {
			w.Add(&layer[e])
		}
	}
	s.share = w.Keep(o.Room)
	buffer := pieceBytes
	for i := range w.Experts {
		c := &class{pieces: w.Experts[i].shape.pieces()}
		for _, p := range c.pieces {
			buffer = max(buffer, p.bytes)
		}
		s.classes = append(s.classes, c)
		for range s.share.Slots[i] {
			if err := s.makeSlot(c, &w.Experts[i].shape); err != nil {
				s.Close()
				return nil, err
			}
		}
	}
	s.place(&w, &o)
	readers := cmp.Or(o.Readers, defaultReaders)
	buffer = (buffer + 2*weights.ReadSlack) / weights.ReadSlack * weights.ReadSlack
	all, free, err := kernel.Allocate(readers * buffer) // together, so that they stand on large pages
	if err != nil {
		s.Close()
		return nil, err
	}
	s.free = append(s.free, free)
	for i := range readers {
		s.done.Add(1)
		go s.serve(all[i*buffer:][:buffer])
	}
	return s, nil
}

// place makes the entries.
func (s *Store) place(w *Weights, o *Options) {
	for i, layer := range o.Layers {
		l := &Paged{store: s, layer: i, entries: make([]entry, len(layer))}
		for e := range layer {
			x := &l.entries[e]
			of := slices.IndexFunc(w.Experts, func(c Class) bool { return c.shape == layer[e].shape() })
			*x = entry{layer: i, class: s.classes[of], places: layer[e], share: float64(o.Used) / float64(len(layer))}
		}
		s.layers = append(s.layers, l)
	}
	for e := range slices.Max(widths(o.Layers)) {
		for _, l := range s.layers {
			if e < len(l.entries) {
				x := &l.entries[e]
				x.class.entries = append(x.class.entries, x)
			}
		}
	}
}

func widths(layers [][]Places) []int {
	out := []int{0}
	for _, l := range layers {
		out = append(out, len(l))
	}
	return out
}

func (s *Store) makeSlot(c *class, sh *shape) error {
	var m [3]*kernel.Matrix
	for i, p := range sh {
		var err error
		if m[i], err = kernel.NewMatrix(p.Type, p.Rows, p.Cols); err != nil {
			return err
		}
		s.free = append(s.free, m[i].Close)
	}
	c.free = append(c.free, &Expert{Gate: m[0], Up: m[1], Down: m[2]})
	return nil
}

// pieces cuts an expert.
func (s *shape) pieces() (out []piece) {
	for i, p := range s {
		row, _ := p.Type.RowBytes(p.Cols)
		rows := max(1, pieceBytes/row/kernel.PanelRows) * kernel.PanelRows
		for r := 0; r < p.Rows; r += rows {
			out = append(out, piece{matrix: i, row: r, offset: int64(r) * int64(row), bytes: min(rows, p.Rows-r) * row})
		}
	}
	return out
}

// Close ends the readers and gives the memory back.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.work.Broadcast()
	s.mu.Unlock()
	s.done.Wait()
	for _, f := range s.free {
		f()
	}
	s.free = nil
	s.reader.Close()
}

// Layer is one layer's view.
func (s *Store) Layer(i int) Layer { return s.layers[i] }

// Share is what the store's memory holds.
func (s *Store) Share() Share { return s.share }

// serve reads and packs piece after piece.
func (s *Store) serve(buffer []byte) {
	defer s.done.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		e := s.pick()
		if e == nil {
			s.work.Wait()
			continue
		}
		p := &e.class.pieces[e.handed]
		e.handed++
		m := [3]*kernel.Matrix{e.memory.Gate, e.memory.Up, e.memory.Down}[p.matrix]
		s.mu.Unlock()
		data, err := s.reader.Read(buffer, e.places[p.matrix].Part, e.places[p.matrix].Offset+p.offset, p.bytes)
		if err == nil {
			m.PackRows(p.row, data)
		}
		s.mu.Lock()
		s.finish(e, p, err)
	}
}

// finish counts a piece.
func (s *Store) finish(e *entry, p *piece, err error) {
	if err != nil {
		e.handed--
		e.broken = true
		switch {
		case !e.wanted: // it would fail over and over; who wants it will be told
			e.soon, s.lazy, s.fill = false, true, s.fill[:0]
		case s.err == nil:
			s.err = err
		}
		s.come.Broadcast()
	} else {
		e.packed++
		s.stats.BytesRead += uint64(p.bytes)
	}
	switch {
	case e.broken && !e.busy():
		e.class.free = append(e.class.free, e.memory)
		e.memory, e.handed, e.packed, e.broken = nil, 0, 0, false
	case e.ready():
		s.stats.Read++
		s.come.Broadcast()
	}
	if !e.busy() && !e.wanted { // its memory may be lent
		s.work.Broadcast()
	}
}

// lending says whose memory may be taken for an expert.
type lending int

const (
	nobodys  lending = iota // that was never used
	idlers                  // of experts that are not wanted soon
	anybodys                // but of those that the layer at work wants
)

// pick gives the expert that the next read is for, with memory to read to; nil if there is nothing to do.
func (s *Store) pick() *entry {
	if e := s.firstOf(s.demand, anybodys); e != nil {
		return e
	}
	if e := s.firstOf(s.ahead, idlers); e != nil {
		return e
	}
	if e := s.firstOf(s.fill, nobodys); e != nil || s.lazy {
		return e
	}
	s.fill = s.fill[:0]
	for _, c := range s.classes {
		if len(c.free) == 0 {
			continue
		}
		if i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.memory == nil }); i >= 0 {
			s.fill = append(s.fill, c.entries[i])
		}
	}
	return s.firstOf(s.fill, nobodys)
}

// firstOf is the first of a queue that is not complete. A demand that was met may be evicted in the same step, and
// must not be read again.
func (s *Store) firstOf(queue []*entry, from lending) *entry {
	for _, e := range queue {
		if from == anybodys && !e.wanted || from == idlers && !e.soon {
			continue
		}
		if !e.broken && e.handed < len(e.class.pieces) && (e.memory != nil || s.lend(e, from)) {
			return e
		}
	}
	return nil
}

// lend finds memory for an expert.
func (s *Store) lend(e *entry, from lending) bool {
	c := e.class
	if n := len(c.free); n > 0 {
		e.memory, c.free = c.free[n-1], c.free[:n-1]
		return true
	}
	if from == nobodys {
		return false
	}
	v := s.victim(c, from)
	if v == nil {
		return false
	}
	if v.ready() {
		s.stats.Evicted++
	}
	e.memory, v.memory = v.memory, nil
	v.handed, v.packed, v.early = 0, 0, false
	return true
}

// victim is the expert of a class whose next use is the farthest; one that is there in part comes first,
// one that is wanted soon last.
func (s *Store) victim(c *class, from lending) *entry {
	var worst *entry
	most := math.Inf(-1)
	for _, e := range c.entries {
		if e.memory == nil || e.wanted || e.busy() || e.soon && from != anybodys {
			continue
		}
		far := float64(s.distance(e.layer)) + e.wait
		switch {
		case e.soon:
			far -= 1e12
		case !e.ready():
			far += 1e12
		}
		if far > most {
			worst, most = e, far
		}
	}
	return worst
}

// distance is how many layers are computed before that one.
func (s *Store) distance(layer int) int {
	if d := layer - s.current; d > 0 {
		return d
	}
	return layer - s.current + len(s.layers)
}

// Stats counts what a store did.
type Stats struct {
	Used      uint64        `json:"used"`       // experts that layers wanted
	Resident  uint64        `json:"resident"`   // of these, in memory when they were wanted
	Ahead     uint64        `json:"ahead"`      // of the resident, read ahead for that use
	Read      uint64        `json:"read"`       // experts that were read
	Evicted   uint64        `json:"evicted"`    // experts whose memory was given to another
	BytesRead uint64        `json:"bytes_read"` // of the model's files
	Waited    time.Duration `json:"waited_ns"`  // time that layers stood still for experts
}

// HitRate is the share of wanted experts that were in memory; 0 before the first.
func (s Stats) HitRate() float64 { return float64(s.Resident) / float64(max(1, s.Used)) }

// Since is what was done after an earlier snapshot.
func (s Stats) Since(before Stats) Stats {
	return Stats{Used: s.Used - before.Used, Resident: s.Resident - before.Resident, Ahead: s.Ahead - before.Ahead, Read: s.Read - before.Read,
		Evicted: s.Evicted - before.Evicted, BytesRead: s.BytesRead - before.BytesRead, Waited: s.Waited - before.Waited}
}

// Stats may be called at any time.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
