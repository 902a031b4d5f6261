// Package expert answers: which experts of a network are in memory, and how do the others get there?
//
// A mixture's experts are most of its weights, and a token needs few of them. Where they do not fit into
// memory, a Store keeps the busiest, reads the others when a router names them, and those of the next layer
// ahead while this one computes. What is in memory changes when an expert is computed, never its result.
package expert

import (
	"github.com/galerne-ai/galerne/internal/dtype"
	"github.com/galerne-ai/galerne/internal/kernel"
)

// Expert is one feed-forward of a mixture: Gate and Up are [inner][width], Down is [width][inner].
type Expert struct{ Gate, Up, Down *kernel.Matrix }

// Layer gives the experts of one layer to who computes with them, in waves:
//
//	Want, then Next until it gives none; At for each expert that Next gave.
type Layer interface {
	// Want begins a step of so many rows; counts [experts] says how many of them need each expert.
	Want(counts []int32, rows int)
	// Next gives wanted experts that are in memory and were not given yet; it waits where there is none.
	// They stay until it is called again. It gives none at the step's end. Error: why one cannot be read.
	Next() ([]int, error)
	// Soon tells how many rows will probably need each expert of the next layer.
	Soon(counts []int32)
	// At is an expert that Next gave.
	At(e int) *Expert
}

// All is a layer whose experts are all in memory.
type All struct {
	Experts []Expert
	wave    []int
}

// Want implements Layer.
func (a *All) Want(counts []int32, _ int) {
	a.wave = a.wave[:0]
	for e, n := range counts {
		if n > 0 {
			a.wave = append(a.wave, e)
		}
	}
}

// Next implements Layer: all come at once.
func (a *All) Next() ([]int, error) {
	wave := a.wave
	a.wave = a.wave[:0]
	return wave, nil
}

// Soon implements Layer: nothing needs to be read ahead.
func (a *All) Soon([]int32) {}

// At implements Layer.
func (a *All) At(e int) *Expert { return &a.Experts[e] }

// Place is where a matrix lies in the model's files: rows of a type without gaps.
type Place struct {
	Type       dtype.Type
	Rows, Cols int
	Part       int   // of weights.File.Parts
	Offset     int64 // of the first byte
}

// Places are those of an expert's gate, up and down.
type Places [3]Place

// shape is what experts have in common that can take each other's memory.
type shape [3]Place // Part and Offset are zero

func (p *Places) shape() (s shape) {
	for i := range p {
		s[i] = Place{Type: p[i].Type, Rows: p[i].Rows, Cols: p[i].Cols}
	}
	return s
}

// bytes is the memory that an expert takes.
func (s *shape) bytes() (n int64) {
	for i := range s {
		n += kernel.PackedBytes(s[i].Type, s[i].Rows, s[i].Cols)
	}
	return n
}
