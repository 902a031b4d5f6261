package kernel

import "unsafe"

// Job is one product of a phase: for every input row r of Rows (all of In where nil), in order i,
//
//	Dst[i*Stride+o] = Σ_k In[r][k] · W[o][k]
type Job struct {
	W      *Matrix
	In     *Input
	Rows   []int32
	Dst    []float32
	Stride int
}

func (j *Job) rows() int {
	if j.Rows != nil {
		return len(j.Rows)
	}
	return j.In.Rows
}

const (
	tileRows = 4 // activation rows that share a decoded group of weights in a kernel
	// chunkRows is how many activation rows pass by a panel before the next panel: 64 rows of up to
	// 4,096 int8 fill half of a 512 KiB second-level cache.
	chunkRows = 64
	// maxTile is the most output numbers of one kernel call: tileRows × 16 lanes.
	maxTile = tileRows * panelRows
)

// product is the one task behind MatMul; a pool has one, reused.
type product struct {
	jobs     []Job
	panels   int // of all jobs
	perPart  int
	scratch  []tile // per worker
	pointers []dotCall
}

type tile [maxTile]float32

// dotCall is what a kernel is given: tileRows or 1 activation rows against the lanes of one panel
// (all 16, or 8 of them: w and the codes are then at the half's place). Strides are in bytes.
type dotCall struct {
	w         unsafe.Pointer // first group of the panel
	x         unsafe.Pointer // int8 (or float32) of the first row
	d, s, z   unsafe.Pointer // scales, scaled sums, sums of the first row
	dst       unsafe.Pointer // float32
	xStride   uintptr
	dStride   uintptr
	sStride   uintptr
	dstStride uintptr
	blocks    uintptr // of 32 weights along k; for floats the number of columns
	panelHalf uintptr // 0 or 1, for kernels of 8 lanes
}

// MatMul runs all jobs as one phase. It allocates nothing after its first calls.
func (p *Pool) MatMul(jobs []Job) {
	t := &p.product
	t.jobs, t.panels = jobs, 0
	for i := range jobs {
		j := &jobs[i]
		if j.W.Cols != j.In.Cols {
			panic("kernel: input and matrix differ in columns")
		}
		if j.W.form.bits > 0 {
			p.quantize(j.In)
		}
		if j.rows() > 0 {
			t.panels += j.W.panels()
		}
	}
	if t.panels == 0 {
		return
	}
	if len(t.scratch) < p.threads {
		t.scratch, t.pointers = make([]tile, p.threads), make([]dotCall, p.threads)
	}
	t.perPart = max(1, t.panels/(p.threads*8))
	p.Run((t.panels+t.perPart-1)/t.perPart, t)
	t.jobs = nil
}

func (m *Matrix) panels() int { return (m.Rows + panelRows - 1) / panelRows }

// Part computes perPart panels, which may belong to several jobs.
func (t *product) Part(part, worker int) {
	from, to := part*t.perPart, min((part+1)*t.perPart, t.panels)
	at := 0
	for i := range t.jobs {
		j := &t.jobs[i]
		if j.rows() == 0 {
			continue
		}
		n := j.W.panels()
		if lo, hi := max(from, at), min(to, at+n); lo < hi {
			j.compute(lo-at, hi-at, &t.scratch[worker], &t.pointers[worker])
		}
		at += n
	}
}

func (j *Job) compute(firstPanel, lastPanel int, out *tile, call *dotCall) {
	rows := j.rows()
	for chunk := 0; chunk < rows; chunk += chunkRows {
		end := min(chunk+chunkRows, rows)
		for panel := firstPanel; panel < lastPanel; panel++ {
			for i := chunk; i < end; {
				n := 1
				if i+tileRows <= end && j.adjacent(i) {
					n = tileRows
				}
				j.tile(panel, i, n, out, call)
				i += n
			}
		}
	}
}

// adjacent reports whether the tile's input rows stand one after the other.
func (j *Job) adjacent(i int) bool {
	return j.Rows == nil || j.Rows[i+tileRows-1]-j.Rows[i] == tileRows-1 && j.Rows[i+1]-j.Rows[i] == 1 && j.Rows[i+2]-j.Rows[i] == 2
}

// tile computes n rows from output row i on against one panel.
func (j *Job) tile(panel, i, n int, out *tile, call *dotCall) {
	row, m, in := i, j.W, j.In
	if j.Rows != nil {
		row = int(j.Rows[i])
	}
	first := panel * panelRows
	lanes := min(panelRows, m.Rows-first)
	dst := j.Dst[i*j.Stride+first:]
	call.w = m.panel(panel)
	whole := lanes == panelRows
	if whole {
		call.dst, call.dstStride = unsafe.Pointer(&dst[0]), uintptr(4*j.Stride)
	} else {
		call.dst, call.dstStride = unsafe.Pointer(&out[0]), 4*panelRows
	}
	k := in.Cols
	if m.form.bits == 0 {
		call.x, call.xStride = unsafe.Pointer(&in.x[row*k]), uintptr(4*k)
		call.blocks = uintptr(k)
	} else {
		in.point(call, row, m.form.group)
	}
	dot(&m.form, call, n)
	if !whole {
		for r := range n {
			copy(dst[r*j.Stride:][:lanes], out[r*panelRows:])
		}
	}
}

func (in *Input) point(call *dotCall, row, group int) {
	k, nb := in.Cols, in.Cols/32
	call.x, call.xStride = unsafe.Pointer(&in.q[row*k]), uintptr(k)
	call.d, call.dStride = unsafe.Pointer(&in.d[row*nb]), uintptr(4*nb)
	if group == 32 {
		call.s, call.z, call.sStride = unsafe.Pointer(&in.s32[row*nb]), unsafe.Pointer(&in.z32[row*nb]), uintptr(4*nb)
	} else {
		call.s, call.z, call.sStride = unsafe.Pointer(&in.s16[row*2*nb]), unsafe.Pointer(&in.z16[row*2*nb]), uintptr(8*nb)
	}
	call.blocks = uintptr(nb)
}

// dotGeneric is, for each of n activation rows r and each lane, over the groups g of the panel in order,
//
//	isum = Σ_k code[g][lane][k] · q[r][k]
//	acc += float32(isum) · (scale[g][lane] · d[r])     rounded after each operation
//	acc += offset[g][lane] · s[r][g]                   where the form has offsets
//
// and for float forms a sum over k in four interleaved parts, (k%4), added as (0+1)+(2+3).
func dotGeneric(f *form, c *dotCall, n int) {
	for r := range n {
		dst := (*[panelRows]float32)(unsafe.Add(c.dst, uintptr(r)*c.dstStride))
		if f.bits == 0 {
			floatsGeneric(f, c, r, dst)
			continue
		}
		groups := int(c.blocks) * 32 / f.group
		w := unsafe.Slice((*byte)(c.w), groups*f.groupBytes())
		x := unsafe.Slice((*int8)(unsafe.Add(c.x, uintptr(r)*c.xStride)), int(c.blocks)*32)
		d := unsafe.Slice((*float32)(unsafe.Add(c.d, uintptr(r)*c.dStride)), int(c.blocks))
		s := unsafe.Slice((*float32)(unsafe.Add(c.s, uintptr(r)*c.sStride)), groups)
		var b block
		for lane := range panelRows {
			var acc float32
			for g := range groups {
				f.get(w[g*f.groupBytes():], lane, &b)
				var isum int32
				for k, v := range x[g*f.group : (g+1)*f.group] {
					isum += int32(v) * int32(b.code[k])
				}
				scale := float32(b.scale * d[g*f.group/32])
				acc += float32(float32(isum) * scale)
				if f.offset {
					acc += float32(b.offset * s[g])
				}
			}
			dst[lane] = acc
		}
	}
}

func floatsGeneric(f *form, c *dotCall, r int, dst *[panelRows]float32) {
	x := unsafe.Slice((*float32)(unsafe.Add(c.x, uintptr(r)*c.xStride)), int(c.blocks))
	var acc [4][panelRows]float32
	for k, v := range x {
		part := &acc[k%4]
		for lane := range panelRows {
			part[lane] += float32(v * f.float(c.w, k*panelRows+lane))
		}
	}
	for lane := range panelRows {
		dst[lane] = (acc[0][lane] + acc[1][lane]) + (acc[2][lane] + acc[3][lane])
	}
}

// float is number i of a float panel.
func (f *form) float(w unsafe.Pointer, i int) float32 {
	switch f.name {
	case "f16":
		return FromF16(*(*uint16)(unsafe.Add(w, 2*i)))
	case "bf16":
		return FromBF16(*(*uint16)(unsafe.Add(w, 2*i)))
	}
	return *(*float32)(unsafe.Add(w, 4*i))
}
