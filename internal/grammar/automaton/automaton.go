// Package automaton answers: which is the smallest finite automaton that accepts what a table of transitions does, and
// how far is each of its states from the end?
package automaton

import (
	"encoding/binary"
	"slices"
)

// Table is a finite automaton whose every state leads to acceptance.
type Table struct {
	Next   [][]int32 // [state][class] → state, -1 where there is none
	Accept []bool
	Dist   []int32 // [state] → symbols to acceptance
	Far    int32   // the largest of Dist
}

// Trim makes the automaton of a table that begins in state 0, without the states from which no accepting state is
// reached; nil if it accepts nothing.
func Trim(next [][]int32, accept []bool) *Table {
	from := backwards(next)
	alive := slices.Clone(accept)
	var todo []int32
	for i, ok := range accept {
		if ok {
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, p := range from[i] {
			if !alive[p] {
				alive[p] = true
				todo = append(todo, p)
			}
		}
	}
	if !alive[0] {
		return nil
	}
	return minimize(next, accept, alive)
}

// backwards gives for each state those that lead there.
func backwards(next [][]int32) [][]int32 {
	from := make([][]int32, len(next))
	for i, row := range next {
		for _, to := range row {
			if to >= 0 {
				from[to] = append(from[to], int32(i))
			}
		}
	}
	return from
}

// refineWork bounds minimize, in transitions looked at: a larger automaton stays as it is.
const refineWork = 1 << 24

// minimize merges states that no text tells apart (Moore's refinement); state 0 stays the first.
func minimize(next [][]int32, accept, alive []bool) *Table {
	group := make([]int32, len(next)) // -1: dead
	for i := range group {
		switch {
		case !alive[i]:
			group[i] = -1
		case accept[i]:
			group[i] = 1
		}
	}
	for count, work := 0, 0; ; {
		fresh, n := refine(next, group)
		group = fresh
		if n == count {
			return mergeStates(next, accept, group, n)
		}
		count = n
		if work += len(next) * len(next[0]); work > refineWork {
			break
		}
	}
	n := 0
	for i := range group {
		if alive[i] {
			group[i] = int32(n)
			n++
		}
	}
	return mergeStates(next, accept, group, n)
}

// refine splits the groups whose states go on to different groups. Groups are numbered as they appear.
func refine(next [][]int32, group []int32) (fresh []int32, count int) {
	index := map[string]int32{}
	fresh = make([]int32, len(next))
	var key []byte
	for i, row := range next {
		if group[i] < 0 {
			fresh[i] = -1
			continue
		}
		key = binary.LittleEndian.AppendUint32(key[:0], uint32(group[i]))
		for _, to := range row {
			g := int32(-1)
			if to >= 0 {
				g = group[to]
			}
			key = binary.LittleEndian.AppendUint32(key, uint32(g))
		}
		g, ok := index[string(key)]
		if !ok {
			g = int32(len(index))
			index[string(key)] = g
		}
		fresh[i] = g
	}
	return fresh, len(index)
}

func mergeStates(next [][]int32, accept []bool, group []int32, count int) *Table {
	a := &Table{Next: make([][]int32, count), Accept: make([]bool, count)}
	for i, row := range next {
		g := group[i]
		if g < 0 || a.Next[g] != nil {
			continue
		}
		to := make([]int32, len(row))
		for c, x := range row {
			to[c] = -1
			if x >= 0 {
				to[c] = group[x]
			}
		}
		a.Next[g], a.Accept[g] = to, accept[i]
	}
	a.measure()
	return a
}

// measure finds how far each state is from acceptance; states that do not lead there are farther than
// any limit.
func (a *Table) measure() {
	from := backwards(a.Next)
	const unreached = 1<<31 - 1
	a.Dist = make([]int32, len(a.Next))
	var todo []int32
	for i, ok := range a.Accept {
		a.Dist[i] = unreached
		if ok {
			a.Dist[i] = 0
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		a.Far = a.Dist[i]
		for _, p := range from[i] {
			if a.Dist[p] == unreached {
				a.Dist[p] = a.Dist[i] + 1
				todo = append(todo, p)
			}
		}
	}
}
