package engine

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected outcome of testdata/sched")

// TestSchedule runs the scripts of testdata/sched: lines of "pool", "running", "waiting" and "step", and
// behind "----" the plan that Schedule makes.
func TestSchedule(t *testing.T) {
	files, _ := filepath.Glob("testdata/sched/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i, section := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				script, _, _ := strings.Cut(section, "\n----\n")
				if i > 0 {
					out.WriteString("\n")
				}
				out.WriteString(script + "\n----\n" + runScript(t, script))
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if out.String() != string(text) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), text)
			}
		})
	}
}

func runScript(t *testing.T, script string) string {
	s := State{BlockTokens: 4, Slots: 8}
	var names []string
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		var name string
		var q Seq
		var budget int
		switch word {
		case "#":
		case "pool":
			scan(t, rest, "free=%d slots=%d", &s.Free, &s.Slots)
		case "running", "waiting":
			if rest, draft, guesses := strings.Cut(rest, " draft="); guesses {
				scan(t, draft, "%d", &q.Draft)
				scan(t, rest, "%s want=%d computed=%d blocks=%d", &name, &q.Want, &q.Computed, &q.Blocks)
			} else {
				scan(t, rest, "%s want=%d computed=%d blocks=%d", &name, &q.Want, &q.Computed, &q.Blocks)
			}
			names = append(names, name)
			q.Alone = q.Blocks
			if word == "running" {
				s.Running = append(s.Running, q)
			} else {
				s.Waiting = append(s.Waiting, q)
			}
		case "step":
			scan(t, rest, "budget=%d", &budget)
			var p Plan
			Schedule(&s, budget, &p)
			for _, i := range p.Preempt {
				fmt.Fprintf(&out, "preempt %s\n", names[i])
			}
			for _, r := range p.Run {
				fmt.Fprintf(&out, "run %s[%d:%d]\n", names[r.Index], r.From, r.To)
			}
			fmt.Fprintf(&out, "admit %d\n", p.Admit)
		default:
			t.Fatalf("unknown line %q", lines.Text())
		}
	}
	return out.String()
}

func scan(t *testing.T, text, format string, to ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, to...); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func TestPace(t *testing.T) {
	var p pace
	if n := p.tokens(time.Second, 1, 128); n != 128 {
		t.Errorf("%d tokens while nothing is known, want the most", n)
	}
	for range 20 {
		p.learn(2*time.Second, 1000)
		p.learn(time.Second, 1) // says nothing
	}
	for _, c := range []struct{ pause, answers, most, want int }{{100, 1, 128, 48}, {1000, 1, 128, 128}, {1, 1, 128, 17}, {1, 40, 128, 56}, {1, 40, 20, 20}} {
		if n := p.tokens(time.Duration(c.pause)*time.Millisecond, c.answers, c.most); n != c.want {
			t.Errorf("%+v: %d tokens", c, n)
		}
	}
}

// TestALongPromptWaitsForReadersOnASlowMachine: a step beside an answer has as many tokens as its time allows, and the
// answer is none the worse.
func TestALongPromptWaitsForReadersOnASlowMachine(t *testing.T) {
	m := newMeanModel()
	m.each = time.Millisecond // at least, so that 20 ms are at most 20 tokens
	var mu sync.Mutex
	var beside []int
	e := start(t, m, 1, Options{Pause: 20 * time.Millisecond, Draft: -1, Observe: func(s Step) {
		mu.Lock()
		defer mu.Unlock()
		if s.Running > 1 && s.Answers == 1 {
			beside = append(beside, s.Tokens)
		}
	}})
	collect(t, e, &Request{Prompt: prompt(1, 40), MaxTokens: 1})
	st, err := e.Submit(context.Background(), &Request{Prompt: prompt(2, 20), MaxTokens: 60})
	if err != nil {
		t.Fatal(err)
	}
	for ev := (Event{}); ev.Kind != Token; { // from now on an answer is read
		if ev, err = st.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, e, &Request{Prompt: prompt(3, 200), MaxTokens: 1})
	drain(st)
	mu.Lock()
	defer mu.Unlock()
	if len(beside) < 5 {
		t.Errorf("%d steps ran beside the answer: the test tests less than it says", len(beside))
	}
	for _, n := range beside {
		if n > 20 {
			t.Errorf("a step beside an answer computed %d tokens, 20 take 20 ms", n)
		}
	}
}
