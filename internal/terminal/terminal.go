// Package terminal answers: how does a person type to a program that also writes at length? Lines are
// edited, with a history, and Ctrl-C ends what runs, not the program.
package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

var (
	// ErrInterrupted: Ctrl-C at the prompt.
	ErrInterrupted = errors.New("interrupted")
	// ErrTerminated: SIGTERM.
	ErrTerminated = errors.New("ended by a signal")
)

// Terminal is one person's. While a line is read it is raw and Ctrl-C is a key; otherwise that is a
// signal. One goroutine uses it.
type Terminal struct {
	in      *os.File
	out     io.Writer
	line    *term.Terminal
	keys    *keys
	signals chan os.Signal
	typed   chan typed // of the one reader that is under way
	reading bool
	before  *term.State // of the terminal, nil if unknown
}

type typed struct {
	text string
	err  error
}

// keys remembers that Ctrl-C was among what was typed: the line editor takes it for an end.
type keys struct {
	in          io.Reader
	out         io.Writer
	interrupted bool
}

const ctrlC = 3

func (k *keys) Read(p []byte) (int, error) {
	n, err := k.in.Read(p)
	k.interrupted = k.interrupted || bytes.IndexByte(p[:n], ctrlC) >= 0
	return n, err
}

func (k *keys) Write(p []byte) (int, error) { return k.out.Write(p) }

// Open takes the signals of Ctrl-C and of the end over; Close gives them back. What is typed is echoed to out.
func Open(in *os.File, out io.Writer) *Terminal {
	t := &Terminal{in: in, out: out, keys: &keys{in: in, out: out}, signals: make(chan os.Signal, 4), typed: make(chan typed)}
	t.line = term.NewTerminal(t.keys, "")
	t.before, _ = term.GetState(int(in.Fd()))
	signal.Notify(t.signals, os.Interrupt, syscall.SIGTERM)
	return t
}

// Close leaves the terminal as it was.
func (t *Terminal) Close() {
	signal.Stop(t.signals)
	if t.reading && t.before != nil { // a signal ended what reads a line, or would have
		_ = term.Restore(int(t.in.Fd()), t.before)
		io.WriteString(t.out, "\x1b[?2004l\n") // no marks around what is pasted
	}
}

// readLine gives one line without its end. pasted tells that it came in one piece with what follows.
// Errors: ErrInterrupted, ErrTerminated, io.EOF.
func (t *Terminal) readLine(prompt string) (text string, pasted bool, err error) {
	if !t.reading { // else a signal ended the last call, and its reader still waits for the line
		t.reading = true
		go func() { t.typed <- t.edit(prompt) }()
	}
	for {
		select {
		case got := <-t.typed:
			t.reading = false
			if errors.Is(got.err, term.ErrPasteIndicator) {
				return got.text, true, nil
			}
			return got.text, false, got.err
		case s := <-t.signals:
			if s == os.Interrupt {
				return "", false, ErrInterrupted
			}
			return "", false, ErrTerminated
		}
	}
}

// edit reads one line from the raw terminal.
func (t *Terminal) edit(prompt string) typed {
	fd := int(t.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return typed{err: err}
	}
	defer func() { _ = term.Restore(fd, before) }()
	if width, height, err := term.GetSize(fd); err == nil && width > 0 && height > 0 {
		_ = t.line.SetSize(width, height)
	}
	t.line.SetPrompt(prompt)
	t.line.SetBracketedPasteMode(true)
	defer t.line.SetBracketedPasteMode(false)
	text, err := t.line.ReadLine()
	if errors.Is(err, io.EOF) && t.keys.interrupted {
		err = ErrInterrupted
		io.WriteString(t.keys, "^C\r\n")
		history := t.line.History
		t.line = term.NewTerminal(t.keys, "") // the old one keeps the line
		t.line.History = history
	}
	t.keys.interrupted = false
	return typed{text, err}
}

// Message reads a message: one line, or several between """ marks, behind a backslash at a line's
// end, or pasted in one piece. Errors: ErrInterrupted, ErrTerminated, io.EOF.
func (t *Terminal) Message(prompt string) (string, error) {
	const mark, more = `"""`, "... "
	var all []string
	quoted := false
	for {
		text, pasted, err := t.readLine(prompt)
		if err != nil {
			return "", err
		}
		prompt = more
		switch {
		case quoted:
			before, closed := strings.CutSuffix(strings.TrimRight(text, " \t"), mark)
			if closed {
				return strings.Join(append(all, before), "\n"), nil
			}
			all = append(all, text)
		case len(all) == 0 && strings.HasPrefix(text, mark):
			text = text[len(mark):]
			if before, closed := strings.CutSuffix(strings.TrimRight(text, " \t"), mark); closed {
				return before, nil
			}
			quoted = true
			if text != "" {
				all = append(all, text)
			}
		case pasted:
			all = append(all, text)
		case strings.HasSuffix(text, `\`):
			all = append(all, strings.TrimSuffix(text, `\`))
		default:
			return strings.TrimRight(strings.Join(append(all, text), "\n"), "\n"), nil
		}
	}
}

// During runs work that Ctrl-C ends; interrupted tells that it did. Errors: the work's own,
// ErrTerminated.
func (t *Terminal) During(ctx context.Context, work func(context.Context) error) (interrupted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	ended := false
	for {
		select {
		case err := <-done:
			if ended {
				return true, ErrTerminated
			}
			return interrupted, err
		case s := <-t.signals:
			interrupted, ended = true, ended || s != os.Interrupt
			cancel()
		}
	}
}
