package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestAnEmptyFlagIsNoPermission: a script whose variable is not set must not make a key that may do more than was meant.
func TestAnEmptyFlagIsNoPermission(t *testing.T) {
	env := environment{home: t.TempDir()}
	for _, args := range [][]string{
		{"key", "add", "a", "--model", ""}, {"key", "add", "a", "--model", "qwen*,"}, {"key", "add", "a", "--scope", ""}, {"key", "add", "a", "--from", ""},
		{"key", "add", "a", "--expires", ""}, {"serve", "./none.gguf", "--key", ""}, {"serve", "./none.gguf", "--key", " "},
	} {
		if status, out, errOut := command(t, env, args...); status == 0 || out != "" || !strings.Contains(errOut, "empty") {
			t.Errorf("galerne %q: status %d\n%s%s", args, status, out, errOut)
		}
	}
	if _, _, errOut := command(t, env, "key", "list"); !strings.Contains(errOut, "There is no key") {
		t.Errorf("a key was made: %s", errOut)
	}
	command(t, env, "key", "add", "b", "--scope", "generate, models", "--scope", "embed")
	if _, out, _ := command(t, env, "key", "list"); !strings.Contains(out, "generate,models,embed") {
		t.Errorf("scopes are not put together:\n%s", out)
	}
}

// TestAPatternThatNothingFitsIsRefused: on Windows too, where paths are matched otherwise than names.
func TestAPatternThatNothingFitsIsRefused(t *testing.T) {
	for _, pattern := range []string{`qwen\`, "qwen["} {
		if status, out, errOut := command(t, environment{home: t.TempDir()}, "key", "add", "a", "--model", pattern); status == 0 || out != "" || !strings.Contains(errOut, "no pattern of models") {
			t.Errorf("%q: status %d\n%s%s", pattern, status, out, errOut)
		}
	}
}

// TestTimesLookTheWayTheyAreMeant: a key ends in 7 days, usage is asked of the last 7.
func TestTimesLookTheWayTheyAreMeant(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"7d": now.AddDate(0, 0, -7), "12h": now.Add(-12 * time.Hour), "2026-11-01T00:00:00Z": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)} {
		if got, err := before(text, now); err != nil || !got.Equal(want) {
			t.Errorf("before %s: %v %v, want %v", text, got, err, want)
		}
	}
	if got, err := after("7d", now); err != nil || !got.Equal(now.AddDate(0, 0, 7)) {
		t.Errorf("after 7d: %v %v", got, err)
	}
}

// TestAFileNeedsNoPull: who pulls a file hears that it can be used as it is.
func TestAFileNeedsNoPull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.gguf")
	if err := os.WriteFile(path, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := command(t, environment{home: t.TempDir()}, "pull", path); status != 1 || !strings.Contains(errOut, "galerne serve "+path) || !strings.Contains(errOut, "pull file:"+path) {
		t.Errorf("status %d: %s", status, errOut)
	}
}

// TestWhatIsNotServedSaysWhatHelps: a slip of the finger, a model that can be had, and a name that a program brings along
// need different things.
func TestWhatIsNotServedSaysWhatHelps(t *testing.T) {
	h, err := hub.Open(hub.Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	served := []string{"smollm2-135m", "acme"}
	for _, c := range []struct {
		fixed      bool
		name, want string
		not        string
	}{
		{false, "smolm2-135m", "did you mean smollm2-135m?", "pull"},
		{false, "qwen3-8b", "galerne pull qwen3-8b gets it", "alias"},
		{true, "qwen3-8b", "name it at start", "alias"},
		{false, "gpt-4o", "galerne serve --alias gpt-4o=smollm2-135m", "pull"},
		{true, "gpt-4o", "galerne serve --alias gpt-4o=smollm2-135m", "pull"},
		{true, "gpt 4'o\n", `"gpt 4'o\n" is not served`, "alias"},
	} {
		l := &library{hub: h, fixed: c.fixed}
		if err := l.unserved(c.name, served); !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.not) || !errors.Is(err, chat.ErrModel) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	l := &library{hub: h, elsewhere: []string{"mixtral"}}
	if err := l.unserved("mixtrall", nil); strings.Contains(err.Error(), "nothing is on") || !strings.Contains(err.Error(), "served are mixtral; did you mean mixtral?") {
		t.Errorf("models of other servers are forgotten: %v", err)
	}
	if err := (&library{hub: h}).unserved("gpt-4o", nil); !strings.Contains(err.Error(), "nothing is on this machine yet") || !strings.Contains(err.Error(), "galerne pull smollm2-135m") {
		t.Error(err)
	}
}

// TestAnAliasOfNothingIsToldOnce: with the model to write in its place, not another alias, and no second word on how to get one.
func TestAnAliasOfNothingIsToldOnce(t *testing.T) {
	env := environment{home: t.TempDir()}
	model := testdeps.Dep(t, "models/smollm2-135m.gguf")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"x=nope"}, "galerne pull smollm2-135m"},
		{[]string{"x=qwen3-8b"}, "galerne pull qwen3-8b"},
		{[]string{"gpt-*=nope", model}, "write --alias 'gpt-*=smollm2-135m'"},
		{[]string{"x=smolm2-135m", model}, "did you mean smollm2-135m?"},
		{[]string{"x=nope", "--upstream", "far=http://127.0.0.1:1/v1"}, "write --alias 'x=far'"},
	} {
		status, out, errOut := command(t, env, append([]string{"serve", "--log", "warn", "--listen", "127.0.0.1:0", "--alias"}, c.args...)...)
		if status == 0 || out != "" || strings.Count(errOut, c.want) != 1 || strings.Count(errOut, "galerne pull")+strings.Count(errOut, "write --alias")+strings.Count(errOut, "did you mean") != 1 || strings.Contains(errOut, "galerne serve") {
			t.Errorf("%q: status %d\n%s", c.args, status, errOut)
		}
	}
}

// TestAGatewayLacksNoModel: a server of other servers' models alone is whole.
func TestAGatewayLacksNoModel(t *testing.T) {
	h, err := hub.Open(hub.Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for want, elsewhere := range map[bool][]string{true: nil, false: {"far"}} {
		var log bytes.Buffer
		if err := (&library{hub: h, elsewhere: elsewhere}).check(nil, slog.New(slog.NewTextHandler(&log, nil))); err != nil || strings.Contains(log.String(), "galerne pull") != want {
			t.Errorf("with %q: %v, %s", elsewhere, err, log.String())
		}
	}
}

// TestTheUsualWordsForHelpAndVersionWork: everybody tries them first.
func TestTheUsualWordsForHelpAndVersionWork(t *testing.T) {
	env := environment{home: t.TempDir()}
	_, version, _ := command(t, env, "version")
	_, help, _ := command(t, env, "--help")
	_, pull, _ := command(t, env, "pull", "--help")
	for _, c := range []struct {
		want string
		args []string
	}{{version, []string{"--version"}}, {help, []string{"help"}}, {help, []string{}}, {pull, []string{"help", "pull"}}, {help, []string{"-h"}}} {
		if status, out, errOut := command(t, env, c.args...); status != 0 || out != c.want || errOut != "" || out == "" {
			t.Errorf("galerne %q: status %d\n%s%s", c.args, status, out, errOut)
		}
	}
	if status, _, errOut := command(t, env, "help", "pul"); status != 2 || !strings.Contains(errOut, `"pull"?`) {
		t.Errorf("help pul: status %d\n%s", status, errOut)
	}
}

// fullDisk is where nothing can be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestOutputThatIsLostIsAnError: a file that is empty because the disk is full must not pass for an answer.
func TestOutputThatIsLostIsAnError(t *testing.T) {
	for _, args := range [][]string{{"show", "qwen3-8b"}, {"list", "--available"}, {"version"}} {
		var told strings.Builder
		if status := run(args, strings.NewReader(""), fullDisk{}, &told, environment{home: t.TempDir()}); status != 1 || strings.Count(told.String(), syscall.ENOSPC.Error()) != 1 {
			t.Errorf("galerne %q: status %d, %q", args, status, told.String())
		}
	}
}

// TestWithoutAHomeFolderNothingIsWrittenAnywhere: a service without HOME must say where its data shall be, not put it into
// the folder that it was started in.
func TestWithoutAHomeFolderNothingIsWrittenAnywhere(t *testing.T) {
	if home := dataHome(func(string) string { return "" }, func() (string, error) { return "", errors.New("no HOME") }); home != "" {
		t.Errorf("the data folder is %q", home)
	}
	for _, args := range [][]string{{"list"}, {"key", "list"}, {"key", "aws", "x"}, {"usage"}, {"serve"}, {"show", "qwen3-8b"}} {
		if status, _, errOut := command(t, environment{}, args...); status != 1 || !strings.Contains(errOut, "GALERNE_HOME") {
			t.Errorf("galerne %q: status %d, %q", args, status, errOut)
		}
	}
	// What needs no data folder does without.
	if status, _, errOut := command(t, environment{}, "version"); status != 0 {
		t.Errorf("version: %s", errOut)
	}
}

// TestUpLooksBeforeItFetches: an address that cannot be had is told before a model of gigabytes comes.
func TestUpLooksBeforeItFetches(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for listen, want := range map[string]string{taken.Addr().String(): "cannot listen on " + taken.Addr().String() + ": address already in use", "0.0.0.0:0": "make a key", "4747": "write HOST:PORT"} {
		status, _, errOut := command(t, environment{home: t.TempDir(), hfURL: "http://127.0.0.1:1"}, "up", "qwen3-8b", "--listen", listen)
		if status != 1 || !strings.Contains(errOut, want) || strings.Contains(errOut, "fetching") {
			t.Errorf("--listen %s: status %d, %s", listen, status, errOut)
		}
	}
}

// TestHelpNamesTheDefaults: what a flag is when it is left out stands beside it.
func TestHelpNamesTheDefaults(t *testing.T) {
	for name, defaults := range map[string][]string{
		"serve": {"/data", "127.0.0.1:4747", "64", "256", "30s", "720h"}, "bench": {"512", "128", "1,4,16", "5"}, "inspect divergence": {"512"},
	} {
		_, help, _ := command(t, environment{home: "/data"}, append(strings.Fields(name), "--help")...)
		text := strings.Join(strings.Fields(help), " ")
		for _, value := range defaults {
			if strings.Count(text, "Default: "+value+".") != 1 {
				t.Errorf("galerne %s --help does not say once that a default is %s:\n%s", name, value, help)
			}
		}
	}
}

// TestAQuestionNeedsNoQuotes: galerne chat MODEL what is this asks "what is this".
func TestAQuestionNeedsNoQuotes(t *testing.T) {
	var c cli
	parser, err := newParser(&c, io.Discard, io.Discard, nil, environment{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"chat", "m", "what", "is", "this?", "--stats"}); err != nil || c.Chat.question() != "what is this?" || !c.Chat.Stats {
		t.Errorf("%v: %q", err, c.Chat.question())
	}
	for _, args := range [][]string{{"chat", "What", "is", "this?"}, {"chat", "What is this?"}} {
		if status, _, errOut := command(t, environment{home: t.TempDir()}, args...); status != 1 || !strings.Contains(errOut, "galerne chat default") {
			t.Errorf("galerne %q: status %d, %s", args, status, errOut)
		}
	}
}

// TestSecretsThatOthersCanReadAreTold: whoever reads signing.key can sign as everybody.
func TestSecretsThatOthersCanReadAreTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	home := t.TempDir()
	for name, mode := range map[string]os.FileMode{"signing.key": 0o644, "webhook.secret": 0o640, "galerne.db": 0o600, "other": 0o644} {
		if err := errors.Join(os.WriteFile(filepath.Join(home, name), []byte("x"), 0o600), os.Chmod(filepath.Join(home, name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := exposed(home); !slices.Equal(got, []string{filepath.Join(home, "signing.key"), filepath.Join(home, "webhook.secret")}) {
		t.Errorf("others can read %q", got)
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := exposed(home); len(got) > 0 {
		t.Errorf("in a folder that is closed others can read %q", got)
	}
}
