package jinja

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// now is the moment that strftime_now tells in these tests.
var now = []int{2025, 3, 7, 9, 5, 4}

func clock() time.Time {
	return time.Date(now[0], time.Month(now[1]), now[2], now[3], now[4], now[5], 0, time.UTC)
}

// work is what the oracle renders in one process.
type work struct {
	Now       []int                      `json:"now"`
	Templates map[string]string          `json:"templates"`
	Contexts  map[string]json.RawMessage `json:"contexts"`
	Cases     [][2]string                `json:"cases"`
}

type verdict struct {
	Text  *string `json:"text"`
	Error string  `json:"error"`
}

// agree renders every case here and in Python, and compares byte for byte; where Python raises, so
// must we. It gives the number of cases that Python rendered.
func agree(t *testing.T, w work) (rendered int) {
	t.Helper()
	w.Now = now
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "work.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var verdicts []verdict
	if err := json.Unmarshal(testdeps.RunPython(t, "internal/jinja/testdata/oracle.py", file), &verdicts); err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != len(w.Cases) {
		t.Fatalf("the oracle gave %d verdicts for %d cases", len(verdicts), len(w.Cases))
	}
	for i, c := range w.Cases {
		got, err := renderJSON(w.Templates[c[0]], w.Contexts[c[1]])
		want := verdicts[i]
		switch {
		case want.Text == nil && err == nil:
			t.Errorf("%s with %s: rendered %.300q\nPython raises %s", c[0], c[1], got, want.Error)
		case want.Text != nil && err != nil:
			t.Errorf("%s with %s: %v\nPython gives %.300q", c[0], c[1], err, *want.Text)
		case want.Text != nil && *want.Text != got:
			at := 0
			for at < len(got) && at < len(*want.Text) && got[at] == (*want.Text)[at] {
				at++
			}
			from := max(0, at-60)
			t.Errorf("%s with %s: differs at byte %d\n got %.200q\nwant %.200q", c[0], c[1], at, got[from:], (*want.Text)[from:])
		}
		if want.Text != nil {
			rendered++
		}
	}
	return rendered
}

func renderJSON(source string, context json.RawMessage) (string, error) {
	tmpl, err := Parse(source, Options{Now: clock})
	if err != nil {
		return "", err
	}
	vars, err := FromJSON(context)
	if err != nil {
		return "", err
	}
	return tmpl.Render(vars.(*Map))
}
