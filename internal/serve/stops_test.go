package serve

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAStopStringIsMetHoweverTheTextIsCut: before it, or with keep up to its end, everything comes out.
func TestAStopStringIsMetHoweverTheTextIsCut(t *testing.T) {
	letters := rapid.SampledFrom([]rune("ab"))
	rapid.Check(t, func(t *rapid.T) {
		text, stop := rapid.StringOfN(letters, 0, 12, -1).Draw(t, "text"), rapid.StringOfN(letters, 1, 4, -1).Draw(t, "stop")
		s := stops{strings: []string{"never", stop}, keep: rapid.Bool().Draw(t, "keep")}
		want, wantMet := text, ""
		if before, _, found := strings.Cut(text, stop); found {
			want, wantMet = before, stop
			if s.keep {
				want += stop
			}
		}
		got, met := "", ""
		for rest := text; rest != "" && met == ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			var more string
			more, met = s.add(rest[:n])
			got, rest = got+more, rest[n:]
		}
		if met == "" {
			got += s.flush()
		}
		if got != want || met != wantMet {
			t.Fatalf("%q, stopped by %q, want %q, %q", got, met, want, wantMet)
		}
	})
}
