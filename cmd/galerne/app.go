package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/term"
)

// version is this source tree's own; CHANGELOG.md says what is in it.
const version = "0.1.0"

// app is what every command gets.
type app struct {
	ctx        context.Context // ends at Ctrl-C and at SIGTERM
	home       string
	db         string // "": in home
	catalogues []string
	env        environment
	in         io.Reader
	out, err   io.Writer
}

// printJSON writes one indented JSON value and a newline to standard output.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// say writes a line for people to standard error, where it does not mix with data.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}

// output is standard output. Commands print as they go; what could not be written is known at their end.
type output struct {
	to  io.Writer
	mu  sync.Mutex
	err error // the first
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = cmp.Or(o.err, err)
	}
	return n, err
}

// lost is what went wrong with writing, nil if nothing.
func (o *output) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// isTerminal reports whether a stream of the app is a terminal.
func isTerminal(stream any) bool {
	if o, ok := stream.(*output); ok {
		stream = o.to
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *versionCmd) Run(a *app) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		System  string `json:"system"`
		Commit  string `json:"commit,omitempty"`
	}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, commit()}
	if c.JSON {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintf(a.out, "galerne %s (%s, %s)\n", v.Version, v.Go, v.System)
	return err
}

// commit is the revision that the Go tool stamped into the binary, "" where it did not.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// size writes bytes as people read them: 98.4 MB.
func size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v := float64(bytes)
	i := 0
	for v >= 1000 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
