package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// fence is a block of code in a page of docs/ that says which language it is in.
var fence = regexp.MustCompile("(?ms)^```(python|javascript|sh)\n(.*?)^```$")

// TestSnippetsOfTheDocsRun runs the code blocks of docs/*.md that are in Python, JavaScript (as a
// module) or sh and call the default address, each against a server of scripts. Their models have
// the names of the scripts in testdata, or of the catalogue, whose script is plain.
func TestSnippetsOfTheDocsRun(t *testing.T) {
	python := testdeps.Python(t)
	pages, err := filepath.Glob(filepath.Join(testdeps.Root(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			language, code := m[1], m[2]
			if !strings.Contains(code, defaultAddress) {
				continue
			}
			ran++
			t.Run(filepath.Base(page)+" "+language, func(t *testing.T) { snippet(t, python, language, code) })
		}
	}
	if ran == 0 {
		t.Fatal("no snippet was found")
	}
}

const defaultAddress = "127.0.0.1:4747"

func snippet(t *testing.T, python, language, code string) {
	address := strings.TrimPrefix(serve(t, api.Options{}).URL, "http://")
	code = strings.ReplaceAll(code, defaultAddress, address)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var cmd *exec.Cmd
	switch language {
	case "python":
		cmd = exec.CommandContext(ctx, python, "-c", code)
	case "sh":
		cmd = exec.CommandContext(ctx, "sh", "-ec", code)
	default:
		node, err := exec.LookPath("node")
		if err != nil {
			t.Skip("NOT TESTED: there is no node")
		}
		file, err := os.CreateTemp(filepath.Dir(testdeps.Dep(t, "node/node_modules")), "snippet*.mjs")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(file.Name()) })
		_, _ = file.WriteString(code)
		_ = file.Close()
		cmd = exec.CommandContext(ctx, node, file.Name())
	}
	cmd.Env = append(os.Environ(), "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nsays\n%s", err, code, out)
	}
	if !strings.Contains(string(out), "Hello, wörld") {
		t.Errorf("the snippet does not print the answer:\n%s\nsays\n%s", code, out)
	}
}
