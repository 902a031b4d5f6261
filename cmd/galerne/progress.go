package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"github.com/galerne-ai/galerne/internal/hub"
)

// progress gives a function that shows progress, and one that clears what is shown.
func (a *app) progress(name string) (show func(hub.Progress), clear func()) {
	if isTerminal(a.err) {
		b := &bar{out: a.err, width: func() int { return columns(a.err) }}
		return b.show, b.clear
	}
	l := &lines{say: a.say, name: name}
	return l.show, func() {}
}

// columns is how wide a terminal is now, 80 where it does not say.
func columns(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// bar is progress on a terminal: one line that is written over, and so never as wide as the terminal.
type bar struct {
	out   io.Writer
	width func() int
	phase string
	last  time.Time
	shown int // columns that are written on
}

func (b *bar) show(p hub.Progress) {
	if p.Phase == b.phase && time.Since(b.last) < 90*time.Millisecond {
		return
	}
	b.phase, b.last = p.Phase, time.Now()
	line := barLine(p, b.width()-1)
	wide := uniseg.StringWidth(line)
	// A terminal that was made narrower has no room for blanks over all that was written.
	blanks := min(b.shown, b.width()-1) - wide
	fmt.Fprint(b.out, "\r", line, strings.Repeat(" ", max(0, blanks)))
	b.shown = wide
}

func (b *bar) clear() {
	if b.shown > 0 {
		fmt.Fprint(b.out, "\r", strings.Repeat(" ", min(b.shown, b.width()-1)), "\r")
		b.shown = 0
	}
}

// barLine is progress in at most so many columns. The file's name gives way first, then the end of the line; what is left
// is a picture.
func barLine(p hub.Progress, room int) string {
	room = max(room, 1)
	if over := uniseg.StringWidth(progressText(p)) - room; over > 0 {
		p.File = squeezed(printable(p.File), max(8, uniseg.StringWidth(printable(p.File))-over))
	}
	text := progressText(p)
	if rest := room - uniseg.StringWidth(text) - 3; p.Total > 0 && rest >= 10 {
		full := int(int64(min(rest, 30)) * min(p.Done, p.Total) / p.Total)
		text += " [" + strings.Repeat("#", full) + strings.Repeat("-", min(rest, 30)-full) + "]"
	}
	return cut(text, room)
}

// squeezed is a name in at most so many columns: its end says which of a model's files it is, its beginning which model.
func squeezed(name string, room int) string {
	if uniseg.StringWidth(name) <= room {
		return name
	}
	head := cut(name, (room-3)/2)
	tail := name
	for tail != "" && uniseg.StringWidth(head)+3+uniseg.StringWidth(tail) > room {
		_, tail, _, _ = uniseg.FirstGraphemeClusterInString(tail, -1)
	}
	return head + "..." + tail
}

// cut is the beginning of a text that takes at most so many columns.
func cut(text string, room int) string {
	var b strings.Builder
	for state := -1; text != ""; {
		var cluster string
		var wide int
		cluster, text, wide, state = uniseg.FirstGraphemeClusterInString(text, state)
		if room -= wide; room < 0 {
			break
		}
		b.WriteString(cluster)
	}
	return b.String()
}

// lines is progress where it is not a terminal: at most a line in five seconds.
type lines struct {
	say   func(format string, args ...any)
	name  string
	phase string
	last  time.Time
}

func (l *lines) show(p hub.Progress) {
	if p.Phase == l.phase && time.Since(l.last) < 5*time.Second {
		return
	}
	l.phase, l.last = p.Phase, time.Now()
	l.say("%s: %s", printable(l.name), progressText(p))
}

func phaseWords(phase string) string {
	return map[string]string{
		hub.Waiting:   "waiting for another pull of",
		hub.Fetching:  "fetching",
		hub.Packaging: "pip fetches",
		hub.Checking:  "reading again",
	}[phase]
}

// progressText is the phase, the file, how far it is, the rate and the time that is left.
func progressText(p hub.Progress) string {
	text := phaseWords(p.Phase) + " " + printable(p.File)
	switch {
	case p.Total > 0:
		text += fmt.Sprintf(": %d%%, %s of %s", min(p.Done, p.Total)*100/p.Total, size(p.Done), size(p.Total))
	case p.Done > 0:
		text += ": " + size(p.Done)
	}
	if p.Rate > 0 {
		text += ", " + size(int64(p.Rate)) + "/s"
		if left := float64(p.Total-p.Done) / p.Rate; left > 0 && left < 1e6 {
			text += ", " + (time.Duration(left) * time.Second).String() + " left"
		}
	}
	return text
}
