package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/serve"
)

// mostThreads is more than any machine gains from.
const mostThreads = 1024

// Validate is called by kong: what cannot be meant is wrong usage, before anything is opened.
func (f *serveFlags) Validate() error {
	for _, n := range []struct {
		flag           string
		value          int
		least, most    int
		whatLeaveMeans string
	}{
		{"--context", f.Context, 0, 1 << 30, "the model's own, or what fits"},
		{"--threads", f.Threads, 0, mostThreads, "one a CPU"},
		{"--slots", f.Slots, 1, 1 << 16, "64"},
		{"--queue", f.Queue, 1, 1 << 20, "256"},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("%s is %d: %d to %d are possible; left out it is %s", n.flag, n.value, n.least, n.most, n.whatLeaveMeans)
		}
	}
	if f.Key != nil && strings.TrimSpace(*f.Key) == "" {
		return errors.New("--key is empty: give the key that callers must send, or leave the flag out")
	}
	if f.KeepAlive < 0 || f.Drain < 0 || f.Keep < 0 {
		return fmt.Errorf("--keep-alive %s, --drain %s and --keep %s: durations from 0s on are possible, as in 10m", f.KeepAlive, f.Drain, f.Keep)
	}
	return nil
}

// words are values with commas between them, of a flag that may be repeated. An empty one is a mistake, such as a variable of
// a script that is not set: it must not mean the same as leaving the flag out.
type words []string

// Decode implements kong.MapperValue.
func (w *words) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("text", &text); err != nil {
		return err
	}
	for word := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(word) == "" {
			return errors.New("it has an empty value: write one, or leave the flag out")
		}
		*w = append(*w, strings.TrimSpace(word))
	}
	return nil
}

// origins are words that are origins of web pages, as browsers send them.
type origins []string

// Decode implements kong.MapperValue.
func (o *origins) Decode(ctx *kong.DecodeContext) error {
	var written words
	if err := written.Decode(ctx); err != nil {
		return err
	}
	for _, text := range written {
		one, err := api.Origin(text)
		if err != nil {
			return err
		}
		*o = append(*o, one)
	}
	return nil
}

// offer adds one more model. Two ways to write one model are one entry; two models of one name are an
// error, since a request could mean either.
func (l *library) offer(e serve.Entry) error {
	for i := range l.named {
		switch own := &l.named[i]; {
		case own.Path == e.Path:
			for _, alias := range e.Aliases {
				if !slices.Contains(own.Aliases, alias) {
					own.Aliases = append(own.Aliases, alias)
				}
			}
			return nil
		case own.Name == e.Name:
			return fmt.Errorf("two models would be called %s: %s and %s: rename one file, or give it a name with galerne pull file:PATH --name NAME", e.Name, own.Path, e.Path)
		}
	}
	l.named = append(l.named, e)
	return nil
}

// check refuses to start with a model that was named and cannot be served: its callers would find out
// one by one. Of a whole folder it tells what is damaged, or that there is nothing.
func (l *library) check(s *serve.Server, log *slog.Logger) error {
	if !l.fixed {
		switch all, err := l.hub.Models(); {
		case err != nil:
			log.Warn("some models are not served", "error", err)
		case len(all) == 0 && len(l.elsewhere) == 0:
			log.Warn("no model is on this machine yet: galerne pull gets one", "smallest", l.hub.Catalogue().Default)
		}
	}
	for _, e := range l.named {
		if err := s.Check(e.Name); err != nil {
			return fmt.Errorf("%s cannot be served: %w", e.Name, err)
		}
	}
	return nil
}
