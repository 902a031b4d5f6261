package kernel

import "unsafe"

// Job is one product of a phase: for Count input rows from row First on (all of In where Count is 0)
//
//	Dst[i*Stride+o] = Σ_k In[First+i][k] · W[o][k]
type Job struct {
	W            *Matrix
	In           *Input
	First, Count int
	Dst          []float32
	Stride       int
	most         int // rows of a part
}

func (j *Job) rows() int {
	if j.Count > 0 {
		return j.Count
	}
	return j.In.Rows
}

const (
	// partBytes bounds the weights of a part, which every tile of its rows reads again: half of a 2 MiB
	// second-level cache.
	partBytes = 1 << 20
	// mostPartRows bounds the input rows of a part, unless they are read: parts that follow each other share their weights.
	mostPartRows = 64
	// mostTimes bounds the bytes of weights that every worker reads for its band, for each number of the rows.
	mostTimes = 4
	// A worker has about this many parts of a product, since the others wait for the last one to end; fewer, but not fewer than the
	// least, where parts would be shorter than a few microseconds: of so many bytes of weights, or so many multiplications.
	partsMost, partsLeast = 32, 8
	shortBytes, shortWork = 32 << 10, 1 << 18
)

// product is the one task behind MatMul; a pool has one, reused.
type product struct {
	jobs    []Job
	bands   int // of rows, a worker each, whose parts stand side by side; 1: parts go by weights
	perPart int // panels, of one job, each with partRows() rows at most
	scratch []tile
	calls   []dotCall
	readers []*readScratch // of those who have read rows
	copies  []panelCopy    // of matrices that are not packed yet
}

// maxRows is the most input rows of one kernel call.
const maxRows = 32

// tile is a kernel's scratch: sums of rows, and behind them what tiles of AMX want unpacked, or scales that registers of
// AVX2 lack room for.
type tile [maxRows*2*panelRows + 12288]float32

// dotCall is what a kernel is given: some input rows against neighbouring panels. Strides are in bytes.
type dotCall struct {
	w         unsafe.Pointer // first group of the first panel
	x         unsafe.Pointer // first row's lines, or float32
	dst       unsafe.Pointer // float32
	xStride   uintptr
	dstStride uintptr
	blocks    uintptr // of 32 weights along k; for floats the number of columns
	panels    uintptr
	sums      unsafe.Pointer // [rows][2][panelRows] scratch of kernels whose sums are not in registers
	rows      uintptr
	size      uintptr // bytes of a panel
	ahead     uintptr // how many bytes before their use those kernels ask for weights
}

// MatMul runs all jobs as one phase. It allocates nothing after its first calls.
func (p *Pool) MatMul(jobs []Job) {
	t := &p.product
	t.jobs = jobs
	units, most, work := 0, 0, 0 // of a panel and partRows() rows; bytes and multiplications of the largest
	for i := range jobs {
		j := &jobs[i]
		if j.W.Cols != j.In.Cols {
			panic("kernel: input and matrix differ in columns")
		}
		if j.W.form.bits > 0 {
			p.quantize(j.In)
		} else {
			p.floats(j.In)
		}
		j.most = j.mostRows(p.threads)
		units += j.W.panels() * j.chunks()
		most = max(most, j.W.panelBytes)
		work = max(work, panelRows*j.W.Cols*min(j.rows(), j.most))
	}
	if units == 0 {
		return
	}
	if len(t.scratch) < p.threads {
		t.scratch, t.calls, t.copies = make([]tile, p.threads), make([]dotCall, p.threads), make([]panelCopy, p.threads)
		t.readers = make([]*readScratch, p.threads)
	}
	for _, r := range t.readers {
		r.forget()
	}
	t.perPart, t.bands = perPart(units, p.threads, most, work), bands(jobs, p.threads)
	p.Run(t.bandBegin(t.bands), t)
	t.jobs = nil
}

// perPart is how many panels a part has, of so many bytes, and multiplications with its rows.
func perPart(units, threads, bytes, work int) int {
	short := max(2, min(1+shortBytes/bytes, 1+shortWork/work))
	n := min(max(units/(threads*partsMost), short), units/(threads*partsLeast), partBytes/bytes)
	if n > 1 {
		n &^= 1 // kernels take panels by pairs where they can
	}
	return max(1, n)
}

func (m *Matrix) panels() int { return (m.Rows + panelRows - 1) / panelRows }

// reads reports whether row i of the job is read: see Input.Read.
func (j *Job) reads(i int) bool { return j.W.form.bits > 0 && j.In.reads(j.First+i) }

// chunks is how many runs of partRows() rows a job has.
func (j *Job) chunks() int { return (j.rows() + j.most - 1) / j.most }

// mostRows is the most rows of a part; those that are read, which are behind the others, have their weights rounded once a part.
func (j *Job) mostRows(workers int) int {
	rows := j.rows()
	if rows == 0 || !j.reads(rows-1) {
		return mostPartRows
	}
	most := readRows
	if each := (rows + workers - 1) / workers; each >= mostPartRows { // a band each
		most = min(most, (each+31)&^31)
	}
	return most
}

// partRows is how many rows a part has, but for the last: about as many, since few rows take more time each, in whole tiles.
func (j *Job) partRows() int { return ((j.rows()+j.chunks()-1)/j.chunks() + 15) &^ 15 }

// bands is how many bands of rows suit the jobs. Where all workers have rows enough, each keeps to its own from phase to phase, so that
// they are in its core's caches; then all read all weights, which must not be too many times what the rows are.
func bands(jobs []Job, workers int) int {
	weights, numbers := 0, 0
	for i := range jobs {
		j := &jobs[i]
		if least := 2 * workers * mostPartRows; j.rows() <= least-mostPartRows || j.chunks() < workers {
			return 1
		}
		weights += j.W.panels() * j.W.panelBytes
		numbers += j.rows() * (j.W.Rows + j.W.Cols)
	}
	if numbers < weights/mostTimes {
		return 1
	}
	return workers
}

// before is how many chunks of a job are in front of band b.
func (t *product) before(j *Job, b int) int { return j.chunks() * b / t.bands }

// groups is how many runs of perPart panels a job has.
func (t *product) groups(j *Job) int { return (j.W.panels() + t.perPart - 1) / t.perPart }

// bandBegin is how many parts are in front of band b.
func (t *product) bandBegin(b int) int {
	parts := 0
	for i := range t.jobs {
		j := &t.jobs[i]
		parts += t.groups(j) * t.before(j, b)
	}
	return parts
}

// Part computes perPart panels of one job for some of its rows.
func (t *product) Part(part, worker int) {
	p := t.place(part)
	if r := t.readers[worker]; r != nil {
		r.expect(&p, t.place(part+1))
	}
	t.compute(p.job, p.job.W.open(p.from, p.to, &t.copies[worker]), p.to, p.row, p.end, worker)
}

// partPlace is what a part computes: rows [row, end) of a job against panels [from, to).
type partPlace struct {
	job      *Job // nil: there is no such part
	from, to int
	row, end int
}

func (t *product) place(part int) partPlace {
	for b := range t.bands {
		for i := range t.jobs {
			j := &t.jobs[i]
			first, end := t.before(j, b), t.before(j, b+1)
			n := t.groups(j) * (end - first)
			if part < n {
				panel, row := part/(end-first)*t.perPart, (first+part%(end-first))*j.partRows()
				return partPlace{j, panel, min(panel+t.perPart, j.W.panels()), row, min(row+j.partRows(), j.rows())}
			}
			part -= n
		}
	}
	return partPlace{}
}

// compute runs output rows [row, end) tile by tile past the panels, which stay in the second-level cache
// meanwhile, or neighbours that are read in one go.
func (t *product) compute(j *Job, w panels, to, row, end, worker int) {
	whole, alike := min(to, j.W.Rows/panelRows), row // all from row to alike are read, or none
	for row < end {
		for alike == row || alike < end && j.reads(alike) == j.reads(row) {
			alike++
		}
		n := alike - row
		if !j.reads(row) {
			n = j.W.form.tileRows(n)
		}
		if whole > w.first {
			call := &t.calls[worker]
			call.dst, call.dstStride = unsafe.Pointer(&j.Dst[row*j.Stride+w.first*panelRows]), uintptr(4*j.Stride)
			t.call(j, w, whole, row, n, worker)
		}
		if to > whole { // the last panel has fewer rows than lanes
			for i := 0; i < n; i += mostPartRows {
				t.ragged(j, w, row+i, min(mostPartRows, n-i), worker)
			}
		}
		row += n
	}
}

func (t *product) ragged(j *Job, w panels, i, n, worker int) {
	call, out := &t.calls[worker], &t.scratch[worker]
	call.dst, call.dstStride = unsafe.Pointer(&out[0]), 4*panelRows // no row's place is behind that of its sums
	last := j.W.panels() - 1
	t.call(j, w.from(last, j.W), last+1, i, n, worker)
	first := last * panelRows
	for r := range n {
		copy(j.Dst[(i+r)*j.Stride+first:][:j.W.Rows-first], out[r*panelRows:])
	}
}

// call computes n rows from output row i on against whole panels.
func (t *product) call(j *Job, w panels, to, i, n, worker int) {
	row, m, in, call := j.First+i, j.W, j.In, &t.calls[worker]
	call.sums = unsafe.Pointer(&t.scratch[worker])
	call.w, call.panels, call.rows, call.size = w.at, uintptr(to-w.first), uintptr(n), uintptr(m.panelBytes)
	if m.form.bits == 0 {
		call.x, call.xStride, call.blocks = unsafe.Pointer(&in.x[row*in.Cols]), uintptr(4*in.Cols), uintptr(in.Cols)
	} else {
		call.x, call.xStride, call.blocks = unsafe.Pointer(&in.lines[row*in.stride]), uintptr(in.stride), uintptr(in.Cols/32)
	}
	if j.reads(i) {
		if t.readers[worker] == nil {
			t.readers[worker] = newReadScratch()
		}
		read(&m.form, call, n, t.readers[worker])
		return
	}
	dot(&m.form, call, n)
}

// dotGeneric is, for each of n input rows r and each lane, over the groups g of a panel in order,
//
//	isum = Σ_k code[g][lane][k] · q[r][k]
//	acc = fma(float32(isum), scale[g][lane] · d[r], acc)
//	acc = fma(offset[g][lane], sum[r][g], acc)                   where the form has offsets
//
// and for float forms a sum over k in four interleaved parts, (k%4), added as (0+1)+(2+3).
func dotGeneric(f *form, c *dotCall, n int) {
	for panel := range int(c.panels) {
		for r := range n {
			dst := (*[panelRows]float32)(unsafe.Add(c.dst, uintptr(r)*c.dstStride+uintptr(4*panelRows*panel)))
			if f.bits == 0 {
				floatsGeneric(f, c, panel, r, dst)
			} else {
				integersGeneric(f, c, panel, r, dst)
			}
		}
	}
}

func integersGeneric(f *form, c *dotCall, panel, r int, dst *[panelRows]float32) {
	groups := int(c.blocks) * 32 / f.group
	_, end := f.place(groups)
	size := end - f.headerBytes()
	w := unsafe.Slice((*byte)(unsafe.Add(c.w, panel*size)), size)
	x := unsafe.Slice((*byte)(unsafe.Add(c.x, uintptr(r)*c.xStride)), int(c.blocks)*lineBytes)
	var b block
	for lane := range panelRows {
		var acc float32
		for g := range groups {
			f.get(w, g, lane, &b)
			k := g * f.group
			line := x[k/32*lineBytes:][:lineBytes]
			var isum int32
			for i, v := range line[k%32 : k%32+f.group] {
				isum += int32(int8(v)) * int32(int8(b.code[i])-f.zero)
			}
			acc = fma32(float32(isum), float32(b.scale*f32(line[32:])), acc)
			if f.offset {
				sum := f32(line[36:])
				if f.group == 16 {
					sum = float32(f32(line[32:]) * float32(int32(u32(line[56+4*(g%2):]))/-128))
				}
				acc = fma32(b.offset, sum, acc)
			}
		}
		dst[lane] = acc
	}
}

func floatsGeneric(f *form, c *dotCall, panel, r int, dst *[panelRows]float32) {
	x := unsafe.Slice((*float32)(unsafe.Add(c.x, uintptr(r)*c.xStride)), int(c.blocks))
	first := panel * len(x) * panelRows
	var acc [4][panelRows]float32
	for k, v := range x {
		part := &acc[k%4]
		for lane := range panelRows {
			part[lane] += float32(v * f.float(c.w, first+k*panelRows+lane))
		}
	}
	for lane := range panelRows {
		dst[lane] = (acc[0][lane] + acc[1][lane]) + (acc[2][lane] + acc[3][lane])
	}
}

// float is number i of a float panel.
func (f *form) float(w unsafe.Pointer, i int) float32 {
	switch f.kind {
	case kindF16:
		return FromF16(*(*uint16)(unsafe.Add(w, 2*i)))
	case kindBF16:
		return FromBF16(*(*uint16)(unsafe.Add(w, 2*i)))
	}
	return *(*float32)(unsafe.Add(w, 4*i))
}
