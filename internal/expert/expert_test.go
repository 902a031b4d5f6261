package expert

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/dtype"
	"github.com/galerne-ai/galerne/internal/kernel"
)

// disk is a Reader of experts that are made up: every number of an expert is its own.
type disk struct {
	mu     sync.Mutex
	fail   map[int]int // expert: how many reads of it fail from now on
	read   map[int]int // expert: pieces
	closed bool
	gate   chan struct{} // if there is one, every read takes one of it
}

var errDisk = errors.New("the disk is on fire")

const (
	rows, cols  = 16, 4
	matrixBytes = rows * cols * 4
)

func newDisk() *disk { return &disk{fail: map[int]int{}, read: map[int]int{}} }

func (d *disk) Read(buffer []byte, part int, _ int64, n int) ([]byte, error) {
	if d.gate != nil {
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read[part]++
	if d.fail[part] > 0 {
		d.fail[part]--
		return nil, errDisk
	}
	for i := 0; i < n; i += 4 {
		binary.LittleEndian.PutUint32(buffer[i:], math.Float32bits(float32(part)))
	}
	return buffer[:n], nil
}

func (d *disk) Close() error { d.closed = true; return nil }

func (d *disk) reads() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, v := range d.read {
		n += v
	}
	return n
}

// open makes a store of layers × experts with room for some of them; expert e of layer l is number l·experts+e.
func open(t *testing.T, layers, experts, room int, o Options) (*Store, *disk) {
	t.Helper()
	d, ok := o.Reader.(*disk)
	if !ok {
		d = newDisk()
	}
	for l := range layers {
		list := make([]Places, experts)
		for e := range list {
			for i := range list[e] {
				list[e][i] = Place{Type: dtype.F32, Rows: rows, Cols: cols, Part: l*experts + e}
			}
		}
		o.Layers = append(o.Layers, list)
	}
	o.Room, o.Reader = int64(room*3*matrixBytes), d
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if !d.closed {
			t.Error("the reader stays open")
		}
	})
	return s, d
}

func counts(n int, wanted ...int) []int32 {
	out := make([]int32, n)
	for _, e := range wanted {
		out[e] = 1
	}
	return out
}

// step runs one layer's step and checks that it gives each wanted expert once, with its own numbers.
func step(t *testing.T, s *Store, layer, experts int, wanted ...int) error {
	t.Helper()
	l := s.Layer(layer)
	l.Want(counts(experts, wanted...), 1)
	var got []int
	for {
		wave, err := l.Next()
		if err != nil {
			return err
		}
		if len(wave) == 0 {
			break
		}
		for _, e := range wave {
			x := l.At(e)
			for _, m := range []*kernel.Matrix{x.Gate, x.Up, x.Down} {
				row := make([]float32, cols)
				m.Row(rows-1, row)
				if want := float32(layer*experts + e); row[0] != want || row[cols-1] != want {
					t.Fatalf("layer %d, expert %d: its numbers are %v, want %v", layer, e, row, want)
				}
			}
		}
		got = append(got, wave...)
	}
	slices.Sort(got)
	if !slices.Equal(got, wanted) {
		t.Fatalf("layer %d gave experts %v, wanted were %v", layer, got, wanted)
	}
	return nil
}

func TestEveryWantedExpertComesOnceHoweverLittleRoomThereIs(t *testing.T) {
	const layers, experts, used = 5, 8, 2
	for _, room := range []int{0, 4, 17, 40} {
		s, _ := open(t, layers, experts, room, Options{Used: used})
		random := rand.New(rand.NewPCG(uint64(room), 1))
		some := func(n int) []int {
			list := random.Perm(experts)[:n]
			slices.Sort(list)
			return list
		}
		next := some(2)
		for i := range 300 {
			layer := i % layers
			wanted := next
			if i%7 == 0 {
				wanted = some(experts) // a prompt
			}
			next = some(2)
			l := s.Layer(layer)
			l.Soon(counts(experts, some(1+i%3)...))
			if err := step(t, s, layer, experts, wanted...); err != nil {
				t.Fatal(err)
			}
		}
		st := s.Stats()
		if kept := s.Share().Count; kept == 40 && (st.Evicted > 0 || st.Read > 40) || kept < 20 && st.Evicted == 0 || kept != max(room, used+1) {
			t.Errorf("room for %d: %d kept, %+v", room, kept, st)
		}
	}
}

func TestAFailedReadFailsItsStepAloneAndIsTriedAgain(t *testing.T) {
	s, d := open(t, 2, 4, 3, Options{Used: 2, Lazy: true})
	for i := range 20 {
		d.mu.Lock()
		d.fail[1] = 1 + i%3
		d.mu.Unlock()
		err := step(t, s, 0, 4, 0, 1)
		if i == 0 && !errors.Is(err, errDisk) {
			t.Fatalf("the step's error is %v, want %v", err, errDisk)
		}
		if err := step(t, s, 1, 4, 2, 3); err != nil {
			t.Fatal(err)
		}
		for err = errDisk; err != nil; err = step(t, s, 0, 4, 0, 1) {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
		}
		if err := step(t, s, 0, 4, 2, 3); err != nil { // expert 1 goes
			t.Fatal(err)
		}
	}
}

func TestFreeMemoryFillsWhileNothingIsAsked(t *testing.T) {
	s, d := open(t, 3, 4, 6, Options{Used: 1})
	for begin := time.Now(); s.Stats().Read < 6; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("%+v", s.Stats())
		}
	}
	reads := d.reads()
	for l := range 3 { // the same share of each layer
		if err := step(t, s, l, 4, 0, 1); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Resident != 6 || d.reads() != reads || reads != 18 {
		t.Errorf("%d reads, then %d, %+v", reads, d.reads(), st)
	}
}

func TestADiskThatFailsIsNotAskedOverAndOverWhileNothingIsWanted(t *testing.T) {
	d := newDisk()
	for e := range 12 {
		d.fail[e] = 1 << 30
	}
	s, _ := open(t, 3, 4, 6, Options{Used: 1, Reader: d})
	time.Sleep(100 * time.Millisecond)
	if n := d.reads(); n == 0 || n > 100 {
		t.Errorf("%d reads of a disk that gives nothing", n)
	}
	if err := step(t, s, 0, 4, 0, 1); !errors.Is(err, errDisk) {
		t.Fatalf("the step's error is %v, want %v", err, errDisk)
	}
	d.mu.Lock()
	clear(d.fail)
	d.mu.Unlock()
	for l := range 3 {
		err := errDisk
		for err != nil { // reads that were under way may still fail
			if err = step(t, s, l, 4, 0, 1); err != nil && !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
		}
	}
	if st := s.Stats(); st.Evicted > 0 {
		t.Errorf("memory stays free, and yet %d experts were evicted", st.Evicted)
	}
}

func TestWhatIsNeededNowIsReadBeforeWhatMayBe(t *testing.T) {
	s, d := open(t, 3, 4, 12, Options{Used: 1, Lazy: true, Readers: 1})
	d.gate = make(chan struct{})
	l := s.Layer(0)
	l.Soon(counts(4, 1, 2)) // of layer 1
	d.gate <- struct{}{}    // one piece of the first
	l.Want(counts(4, 3), 1)
	for range 4 { // the piece that was under way, and the three that are needed
		d.gate <- struct{}{}
	}
	if wave, err := l.Next(); err != nil || !slices.Equal(wave, []int{3}) {
		t.Fatal(wave, err)
	}
	close(d.gate)
}

func TestTheBusiestStay(t *testing.T) {
	const layers, experts = 4, 8
	s, _ := open(t, layers, experts, 16, Options{Used: 2, Lazy: true})
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 2000 {
		if i == 1000 {
			s.stats = Stats{}
		}
		for l := range layers {
			a, b := l, l+4 // the busy ones of the layer
			if random.IntN(10) == 0 {
				b = (a + 1 + random.IntN(experts-1)) % experts
			}
			wanted := []int{min(a, b), max(a, b)}
			if err := step(t, s, l, experts, wanted...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rate := s.Stats().HitRate(); rate < 0.9 {
		t.Errorf("half of the experts fit and nine tenths of the use is of a quarter of them: the hit rate is %.2f", rate)
	}
}

// TestLongPromptsReuseHalf: each step wants every expert in turn. Who evicts the longest unused would find none.
func TestLongPromptsReuseHalf(t *testing.T) {
	const layers, experts = 8, 8
	s, _ := open(t, layers, experts, 32, Options{Used: 2, Lazy: true})
	all := make([]int32, experts)
	for e := range all {
		all[e] = 64
	}
	for i := range 40 {
		if i == 20 {
			s.mu.Lock()
			s.stats = Stats{}
			s.mu.Unlock()
		}
		for l := range layers {
			layer := s.Layer(l)
			layer.Want(all, 256)
			for {
				wave, err := layer.Next()
				if err != nil {
					t.Fatal(err)
				}
				if len(wave) == 0 {
					break
				}
			}
		}
	}
	if rate := s.Stats().HitRate(); rate < 0.4 {
		t.Errorf("half of the experts fit: the hit rate is %.2f", rate)
	}
}

func TestKeepSharesRoomEvenly(t *testing.T) {
	var w Weights
	w.Used = 2
	for i := range 16 {
		p := Places{{Type: dtype.F32, Rows: 16, Cols: 4}, {Type: dtype.F32, Rows: 16, Cols: 4}, {Type: dtype.F32, Rows: 16, Cols: 4 + 8*(i%2)}}
		w.Add(&p)
	}
	for _, c := range []struct {
		room  int64
		slots []int
	}{{0, []int{3, 3}}, {w.Total() / 2, []int{4, 4}}, {w.Total(), []int{8, 8}}, {w.Total() - 1, []int{8, 7}}} {
		k := w.Keep(c.room)
		if !slices.Equal(k.Slots, c.slots) || k.Count != k.Slots[0]+k.Slots[1] || k.Bytes > c.room && c.room > 0 {
			t.Errorf("room %d: %+v, want slots %v", c.room, k, c.slots)
		}
		if again := w.Keep(k.Bytes); !slices.Equal(again.Slots, k.Slots) {
			t.Errorf("what was kept does not fit into its own bytes: %v, then %v", k.Slots, again.Slots)
		}
	}
}

func TestCloseEndsReadsUnderWay(t *testing.T) {
	for range 50 {
		s, _ := open(t, 4, 8, 20, Options{Used: 2})
		s.Layer(0).Soon(counts(8, 1, 2, 3))
	}
}
