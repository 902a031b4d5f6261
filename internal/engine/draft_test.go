package engine

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// write has a drafter guess an answer that is known, in steps of which another row costs each, and gives how many steps that took, and
// what they cost in steps of one row.
func write(t *testing.T, prompt, answer []int32, each float64) (steps int, cost float64) {
	t.Helper()
	var d drafter
	text := slices.Clone(prompt)
	for len(text) < len(prompt)+len(answer) {
		next := answer[len(text)-len(prompt):]
		var guess []int32
		if len(text) > len(prompt) {
			guess = d.guess(text, min(draftMost, len(next)-1), &offer{tokens: 1, seconds: 1, each: each})
		}
		right := 0
		for right < len(guess) && guess[right] == next[right] {
			right++
		}
		if len(text) > len(prompt) {
			d.learn(len(guess), right)
		}
		if d.credit < -1e-9 {
			t.Fatalf("after %d tokens guesses have cost %g more than they may", len(text)-len(prompt), -d.credit)
		}
		text = append(text, next[:right+1]...)
		steps++
		cost += 1 + each*float64(len(guess))
	}
	return steps, cost
}

func numbers(r *rand.Rand, n, most int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = r.Int32N(int32(most))
	}
	return out
}

// TestGuessesFollowWhatIsQuoted: an answer that repeats its prompt takes a sixth of the steps, and still a third where every tenth token
// is another one or one more stands there.
func TestGuessesFollowWhatIsQuoted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	prompt := numbers(r, 300, 5000)
	replaced, inserted := slices.Clone(prompt), []int32{}
	for i, token := range prompt {
		if i%10 == 9 {
			replaced[i] = 9000
			inserted = append(inserted, 9000)
		}
		inserted = append(inserted, token)
	}
	for name, c := range map[string]struct {
		answer []int32
		most   int
	}{"the same": {prompt, 50}, "with others": {replaced, 110}, "with more": {inserted, 110}} {
		if steps, _ := write(t, prompt, c.answer, 0.05); steps > c.most {
			t.Errorf("%s: %d tokens took %d steps, want %d at most", name, len(c.answer), steps, c.most)
		}
	}
}

// TestGuessesNeverCostMuch: whatever the text and the machine, an answer takes hardly longer than without guesses.
func TestGuessesNeverCostMuch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, each := range []float64{0.01, 0.1, 0.5, 1} {
		for _, words := range []int{1, 2, 3, 10, 50, 1000, 100000} {
			for range 20 {
				prompt, answer := numbers(r, r.IntN(300), words), numbers(r, 1+r.IntN(600), words)
				_, cost := write(t, prompt, answer, each)
				if most := draftCredit + (1+draftEarned)*float64(len(answer)); cost > most+1e-9 {
					t.Errorf("%d words, a row at %g: %d tokens cost %g steps, want %g at most", words, each, len(answer), cost, most)
				}
			}
		}
	}
}

// TestGuessesThatDoNotPayAreNotMade: where another row costs as much as a step, only what is nearly sure pays.
func TestGuessesThatDoNotPayAreNotMade(t *testing.T) {
	text := make([]int32, 400)
	for i := range text {
		text[i] = int32(i % 4)
	}
	if steps, _ := write(t, text[:100], text[:200], 0.05); steps > 50 {
		t.Errorf("cheap rows: %d steps", steps)
	}
	if steps, _ := write(t, text[:100], text[:200], 1.5); steps != 200 {
		t.Errorf("rows dearer than steps: %d steps, want 200", steps)
	}
}

func TestPrice(t *testing.T) {
	var p price
	if o := p.offer(3); o != (offer{3, 1, priceFirst}) {
		t.Errorf("%+v while nothing is known", o)
	}
	p.learn(0, 1) // a coarse clock
	if o := p.offer(1); o != (offer{1, 1, priceFirst}) {
		t.Errorf("%+v of a step that took no time", o)
	}
	close := func(got, want float64) bool { return math.Abs(got-want) <= 0.03*want }
	p = price{}
	for range 50 {
		p.learn(20*time.Millisecond, 1)
	}
	if o := p.offer(1); !close(o.seconds, 0.020) || !close(o.each, 0.2*0.020) {
		t.Errorf("%+v when only steps of one row were seen", o)
	}
	for i := range 400 {
		rows := 1 + i%16
		p.learn(18*time.Millisecond+time.Duration(rows)*2*time.Millisecond, rows)
	}
	if o := p.offer(4); !close(o.seconds, 0.026) || !close(o.each, 0.002) || o.tokens != 4 {
		t.Errorf("%+v, want 26 ms and 2 ms a row", o)
	}
	for i := range 400 { // noise that would make rows cost less than nothing
		p.learn(time.Duration(40-i%16)*time.Millisecond, 1+i%16)
	}
	if o := p.offer(64); !(o.each > 0) || !(o.seconds > 0) || math.IsInf(o.each, 0) {
		t.Errorf("%+v", o)
	}
}

// TestGuessesMakeRoomForPrompts: an answer that repeats itself is guessed, but not in steps that read somebody's prompt.
func TestGuessesMakeRoomForPrompts(t *testing.T) {
	var e *Engine
	var before uint64
	alone, beside := 0, 0 // guesses in steps of answers, and beside a prompt
	mixed := 0
	ready := make(chan struct{})
	m := newMeanModel()
	m.slow = 200 * time.Microsecond // the answer is not to end before the prompt comes
	e = start(t, m, 1, Options{Budget: 8, Observe: func(s Step) {
		<-ready
		guessed := int(e.Stats().Drafted - before)
		before = e.Stats().Drafted
		switch {
		case s.Running > 1 && s.Answers == 1 && s.Tokens > 1+guessed:
			mixed++
			beside += guessed
		case s.Running == 1:
			alone += guessed
		}
	}})
	close(ready)
	st, err := e.Submit(context.Background(), &Request{Prompt: prompt(2, 20), MaxTokens: 300, IgnoreEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	for ev := (Event{}); ev.Kind != Token; {
		if ev, err = st.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, e, &Request{Prompt: prompt(3, 400), MaxTokens: 1})
	drain(st)
	e.Close()
	if mixed < 10 || alone < 10 {
		t.Errorf("%d steps ran beside a prompt and %d tokens were guessed in others: the test tests less than it says", mixed, alone)
	}
	if beside > draftMost { // those of the step that admits it were guessed before
		t.Errorf("%d tokens were guessed beside a prompt", beside)
	}
}
