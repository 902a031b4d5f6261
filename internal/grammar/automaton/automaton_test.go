package automaton

import (
	"math/bits"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const most = 6 // states: two that differ do so on a word that is shorter

// table draws transitions over two classes.
func table(t *rapid.T) (next [][]int32, accept []bool) {
	n := rapid.IntRange(1, most).Draw(t, "states")
	for range n {
		row := rapid.SliceOfN(rapid.Int32Range(-1, int32(n-1)), 2, 2).Draw(t, "row")
		next, accept = append(next, row), append(accept, rapid.Bool().Draw(t, "accept"))
	}
	return next, accept
}

// language tells for each word, the shortest first, whether it is accepted from a state on: 1, or 0.
func language(next [][]int32, accept []bool, state int) string {
	words := make([]int32, 1, 1<<most) // → the state behind it
	words[0] = int32(state)
	for i := 0; len(words) < cap(words)-1; i++ {
		if at := words[i]; at >= 0 {
			words = append(words, next[at]...)
		} else {
			words = append(words, -1, -1)
		}
	}
	out := make([]byte, len(words))
	for i, at := range words {
		out[i] = '0'
		if at >= 0 && accept[at] {
			out[i] = '1'
		}
	}
	return string(out)
}

func TestTrimmedAutomataAcceptTheSameAndHaveNoStateTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next, accept := table(t)
		want := language(next, accept, 0)
		a := Trim(next, accept)
		if a == nil {
			if strings.Contains(want, "1") {
				t.Fatalf("nothing is accepted, should be %s", want)
			}
			return
		}
		seen := map[string]bool{}
		for state := range a.Next {
			got := language(a.Next, a.Accept, state)
			if state == 0 && got != want {
				t.Fatalf("accepts %s, should be %s", got, want)
			}
			if seen[got] {
				t.Fatalf("state %d accepts what another one does", state)
			}
			seen[got] = true
			dist := int32(bits.Len(uint(strings.IndexByte(got, '1')+1)) - 1)
			if a.Dist[state] != dist || a.Far < dist {
				t.Fatalf("state %d is %d symbols from acceptance, said to be %d of at most %d", state, dist, a.Dist[state], a.Far)
			}
		}
	})
}
