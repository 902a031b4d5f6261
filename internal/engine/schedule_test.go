package engine

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
