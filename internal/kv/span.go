// Package kv answers: where are a sequence's keys and values, and who shares them?
package kv

// Span is one sequence's part of a step: Rows rows of the batch, from row Start on, whose first
// token stands at position Pos of the sequence. Table maps the sequence's blocks, in order of
// position, to blocks of the cache; it reaches to position Pos+Rows-1 at least.
type Span struct {
	Start, Rows, Pos int
	Table            []int32
}
