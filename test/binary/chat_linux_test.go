package binary

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// typist sits at a terminal of its own that a program runs in.
type typist struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	screen *lockedBuffer
	read   int // of the screen, by expect
	ended  chan error
}

func sitDown(t *testing.T, cmd *exec.Cmd) *typist {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("NOT TESTED: no pseudo terminal: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &typist{t: t, cmd: cmd, master: master, screen: &lockedBuffer{}, ended: make(chan error, 1)}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			_, _ = p.screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); master.Close() })
	return p
}

func (p *typist) types(text string) {
	p.t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits until the screen shows a pattern behind what earlier calls have seen, and gives what the
// pattern's groups matched.
func (p *typist) expect(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		text := p.screen.String()[p.read:]
		if at := re.FindStringSubmatchIndex(text); at != nil {
			p.read += at[1]
			var groups []string
			for i := 2; i < len(at); i += 2 {
				groups = append(groups, text[at[i]:at[i+1]])
			}
			return groups
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Fatalf("the screen does not show %q but\n%s", pattern, p.screen.String()[p.read:])
	return nil
}

func (p *typist) ends(code int) {
	p.t.Helper()
	select {
	case <-p.ended:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			p.t.Errorf("the program ended with %d, not %d:\n%s", got, code, p.screen.String())
		}
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the program does not end:\n%s", p.screen.String())
	}
}

const prompt = `>>> `

func TestChatOnATerminal(t *testing.T) {
	p := sitDown(t, command(t, t.TempDir(), "chat", small(t), "--temperature", "0", "--max-tokens", "20", "--stats"))
	p.expect(prompt)
	p.types("/help\r")
	p.expect(`/undo.*take the last question`)
	p.expect(prompt)

	p.types("Say hello.\r")
	first := p.expect(`\((\d+) prompt tokens, \d+ of them known; (\d+) answer tokens`)
	p.expect(prompt)
	if first[1] == "0" {
		t.Error("the first answer is empty")
	}
	p.types("And \"\"\"\\\r") // marks inside a line mean nothing, the backslash goes on
	p.expect(`\.\.\. `)
	p.types("goodbye.\r")
	second := p.expect(`\((\d+) prompt tokens, (\d+) of them known`)
	p.expect(prompt)
	if second[1] == "0" {
		t.Errorf("the second prompt of %s tokens knows nothing of the first: is the history kept?", second[0])
	}
	p.types("\"\"\"first line\r")
	p.expect(`\.\.\. `)
	p.types("second line\"\"\"\r")
	p.expect(`prompt tokens`)
	p.expect(prompt)

	file := filepath.Join(t.TempDir(), "talk.json")
	p.types("/save " + file + "\r")
	p.expect(`6 messages are in`)
	p.expect(prompt)
	wantQuestions(t, file, "Say hello.", "And \"\"\"\ngoodbye.", "first line\nsecond line")

	p.types("/save " + file + "\r")
	p.expect(`exists already`)
	p.types("/undo\r")
	p.expect(`taken back: first line`)
	p.types("/new\r")
	p.expect(`a new conversation`)
	p.types("/system Answer in French.\r")
	p.expect(prompt)
	p.types("/set temperature 0.2\r")
	p.expect(`temperature: 0\.2`)
	p.types("/set temperature hot\r")
	p.expect(`must be a number from 0 to 100`)
	p.types("/set nonsense 1\r")
	p.expect(`nothing called "nonsense"`)
	p.types("/nonsense\r")
	p.expect(`no command /nonsense`)
	p.expect(prompt)
	p.types("Say hello.\r")
	third := p.expect(`\((\d+) prompt tokens`)
	if third[0] == first[0] {
		t.Errorf("instructions and a new conversation read %s tokens, as without instructions", third[0])
	}
	p.expect(prompt)
	p.types("\x04")
	p.ends(0)
}

func wantQuestions(t *testing.T, file string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var saved struct {
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var got []string
	for i, m := range saved.Messages {
		if role := []string{"user", "assistant"}[i%2]; m.Role != role {
			t.Errorf("message %d is of %s, not of %s", i, m.Role, role)
		}
		if m.Role == "user" {
			got = append(got, m.Content)
		}
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the questions were %q, saved are %q", want, got)
	}
	out, errOut, code := withInput(t, string(text), "inspect", "prompt", small(t))
	if code != 0 || !strings.Contains(out, want[0]) {
		t.Errorf("inspect prompt does not read what chat saves: %d %s%s", code, out, errOut)
	}
}

func TestCtrlCStopsTheAnswerAndNotTheProgram(t *testing.T) {
	p := sitDown(t, command(t, t.TempDir(), "chat", small(t), "--temperature", "0.8", "--seed", "3"))
	p.expect(prompt)
	p.types("/set max_tokens 4000\r")
	p.expect(prompt)
	p.types("Write a very long story about the sea, with many chapters.\r")
	p.expect(`chapters\.\r\n(?s:.{20})`)
	p.types("\x03")
	p.expect(`\(stopped\)`)
	p.expect(prompt)
	p.types("half a line\x03")
	p.expect(`Ctrl-C again`)
	p.expect(prompt)
	p.types("/set max_tokens 5\r") // a line takes the first Ctrl-C back
	p.expect(`max_tokens: 5`)
	p.expect(prompt)
	p.types("\x03")
	p.expect(`Ctrl-C again`)
	p.types("\x03")
	p.ends(0)
}

func TestAMissingModelIsOfferedOnATerminalOnly(t *testing.T) {
	home := t.TempDir()
	p := sitDown(t, command(t, home, "chat"))
	p.expect(`smollm2-135m \(98\.4 MB, Apache-2\.0\) is not on this machine\. Get it now\? \[y/N\]`)
	p.types("n\n")
	p.expect(`galerne pull smollm2-135m`)
	p.ends(1)
	p = sitDown(t, command(t, home, "chat"))
	p.expect(`\[y/N\]`)
	p.types("\x03")
	p.ends(130)
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Errorf("something was fetched without being asked for: %v", left)
	}
	if out, errOut, code := output(t, home, "chat"); code != 1 || out != "" || !strings.Contains(errOut, "galerne pull smollm2-135m") {
		t.Errorf("without a terminal: %d %q %q", code, out, errOut)
	}
}

func TestAnOfferThatIsTakenGetsTheModel(t *testing.T) {
	file := realModel(t)
	url, _ := hugging(t, file, 0)
	cmd := command(t, t.TempDir(), "--catalogue", catalogueOf(t, len(file), fmt.Sprintf("%x", sha256.Sum256(file))), "chat", "tiny", "--max-tokens", "8", "--temperature", "0")
	cmd.Env = append(cmd.Env, "HF_ENDPOINT="+url)
	p := sitDown(t, cmd)
	p.expect(`tiny .* is not on this machine\. Get it now\? \[y/N\]`)
	p.types("y\n")
	p.expect(`tiny is here`)
	p.expect(prompt)
	p.types("What is 2+2?\r")
	p.expect(`The answer to`)
	p.expect(prompt)
	p.types("/bye\r")
	p.ends(0)
}

func TestAConversationThatIsTooLongSaysWhatHelps(t *testing.T) {
	p := sitDown(t, command(t, t.TempDir(), "chat", small(t), "--context", "128", "--max-tokens", "16", "--temperature", "0"))
	p.expect(prompt)
	p.types("What is 2+2?\r")
	p.expect(prompt)
	p.types(strings.Repeat("again and ", 90) + "\r")
	p.expect(`galerne: .*128.*/new starts afresh`)
	p.expect(prompt)
	p.types("/new\r")
	p.expect(prompt)
	p.types("What is 2+2?\r")
	p.expect(`The answer to`)
	p.expect(prompt)
	p.types("\x04")
	p.ends(0)
}

func TestASignalEndsChatAndLeavesTheTerminalAsItWas(t *testing.T) {
	for _, when := range []string{"at the prompt", "in an answer"} {
		p := sitDown(t, command(t, t.TempDir(), "chat", small(t), "--seed", "1"))
		p.expect(prompt)
		if when == "in an answer" {
			p.types("Write a very long story about the sea.\r")
			p.expect(`sea\.\r\n(?s:.{20})`)
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.ends(1)
		state, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if state.Lflag&unix.ICANON == 0 || state.Lflag&unix.ECHO == 0 {
			t.Errorf("%s: the terminal is left raw", when)
		}
	}
}

func TestOneQuestionIsAnsweredWithoutATerminal(t *testing.T) {
	const want = "The answer to this classic math problem is 4.\n"
	greedy := []string{"--temperature", "0"}
	asked, errOut, code := output(t, t.TempDir(), append([]string{"chat", small(t), "What is 2+2?"}, greedy...)...)
	if code != 0 || asked != want || errOut != "" {
		t.Errorf("asked on the command line: %d %q %s", code, asked, errOut)
	}
	piped, errOut, code := withInput(t, "What is 2+2?\n", append([]string{"chat", small(t)}, greedy...)...)
	if code != 0 || piped != want || errOut != "" {
		t.Errorf("asked on standard input: %d %q %s", code, piped, errOut)
	}
	out, _, code := withInput(t, "What is 2+2?", append([]string{"chat", small(t), "--json"}, greedy...)...)
	var got struct {
		Text, Finish string
		Prompt       int     `json:"prompt_tokens"`
		Answer       int     `json:"answer_tokens"`
		Seconds      float64 `json:"answer_s"`
	}
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil || got.Text+"\n" != want || got.Finish != "stop" || got.Prompt != 37 || got.Answer != 12 || got.Seconds <= 0 {
		t.Errorf("in JSON: %d %v %s", code, err, out)
	}
	for says, args := range map[string][]string{
		"standard input is empty":    {"chat", small(t)},
		"--temperature is -1":        {"chat", small(t), "x", "--temperature=-1"},
		"--max-tokens is 0":          {"chat", small(t), "x", "--max-tokens", "0"},
		"--threads -2":               {"chat", small(t), "x", "--threads=-2"},
		"does not write":             {"chat", testdeps.Dep(t, "models/all-minilm-l6-v2"), "x"},
		"galerne chat default \"...": {"chat", "What is this?"},
	} {
		out, errOut, code := withInput(t, "", args...)
		if code != 1 || out != "" || !strings.Contains(errOut, says) {
			t.Errorf("%q: %d %q %q, want %q", args, code, out, errOut, says)
		}
	}
}
