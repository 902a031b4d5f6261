package sdk

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// defined finds the functions that a file of a language gives to its runner.
var defined = map[string]*regexp.Regexp{
	".py":  regexp.MustCompile(`(?m)^(?:async )?def (test_\w+)\(`),
	".mjs": regexp.MustCompile(`(?m)^export async function (\w+)\(`),
	".go":  regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`),
}

// TestEveryNeedHasItsCheck reads testdata/needs.txt: what the clients need, with the checks that prove it.
// A check that is named there must exist. The other way round, every trap must be a rule's.
func TestEveryNeedHasItsCheck(t *testing.T) {
	text, err := os.ReadFile("testdata/needs.txt")
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]map[string]bool{} // by key and name; true where a need has it
	needs := 0
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if key, path, ok := strings.Cut(line, " = "); ok {
			checks[strings.TrimSpace(key)] = functions(t, path)
			continue
		}
		need, names, proved := strings.Cut(line, " <- ")
		_, reason, elsewhere := strings.Cut(line, " -- ")
		if need == "" || proved == elsewhere || proved && names == "" || elsewhere && reason == "" {
			t.Fatalf("line %d is neither a file, a need with its checks, nor one with its reason: %s", i+1, line)
		}
		needs++
		for _, full := range strings.Fields(names) {
			key, name, _ := strings.Cut(full, "/")
			if _, ok := checks[key][name]; !ok {
				t.Errorf("line %d: %s: there is no check %s", i+1, need, full)
				continue
			}
			checks[key][name] = true
		}
	}
	if needs < 100 {
		t.Errorf("%d needs were read: some are lost", needs)
	}
	for key, all := range checks {
		used := false
		for name, needed := range all {
			if used = used || needed; !needed && strings.Contains(name, "trap") {
				t.Errorf("%s/%s is a trap of no need: write down whose", key, name)
			}
		}
		if !used {
			t.Errorf("no need names a check of %s", key)
		}
	}
}

// functions are the checks of a file, none of them needed yet.
func functions(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdeps.Root(t), filepath.FromSlash(strings.TrimSpace(path))))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range defined[filepath.Ext(path)].FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = false
	}
	return out
}
