package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/galerne-ai/galerne/internal/hub"
)

type listCmd struct {
	Available bool `short:"a" help:"List the catalogue: what can be pulled."`
	JSON      bool `name:"json" help:"Print JSON."`
}

func (c *listCmd) Run(a *app) error {
	h, err := a.hub()
	if err != nil {
		return err
	}
	here, damaged := h.Models()
	if damaged != nil && len(here) == 0 && !c.Available {
		return damaged
	}
	if damaged != nil {
		a.say("galerne: %v", damaged)
	}
	if c.Available {
		return c.available(a, h, here)
	}
	if c.JSON {
		list := make([]modelJSON, 0, len(here))
		for _, m := range here {
			list = append(list, modelJSON{Manifest: m, Path: h.Path(m)})
		}
		return a.printJSON(list)
	}
	if len(here) == 0 {
		a.say("No model is on this machine yet. Try: galerne pull %s (galerne list --available shows more).", h.Catalogue().Default)
		return nil
	}
	return table(a.out, "NAME\tSIZE\tARCHITECTURE\tPARAMETERS\tQUANTIZATION\tLICENCE\tPULLED", func(row func(...string)) {
		for _, m := range here {
			row(m.Name, size(m.Bytes()), m.Architecture, count(m.Parameters), m.Quantization, cmp.Or(m.Licence.SPDX, "unknown"), m.Pulled.Local().Format("2006-01-02"))
		}
	})
}

// availableJSON is a catalogue entry as --json prints it.
type availableJSON struct {
	*hub.Entry
	Bytes    int64 `json:"bytes"`
	Exact    bool  `json:"bytes_exact"`
	Verified bool  `json:"digest_verified"`
	Here     bool  `json:"here"`
	Default  bool  `json:"default"`
}

func (c *listCmd) available(a *app, h *hub.Hub, here []*hub.Manifest) error {
	names := map[string]bool{}
	for _, m := range here {
		names[m.Name] = true
	}
	catalogue := h.Catalogue()
	if c.JSON {
		list := make([]availableJSON, 0, len(catalogue.Entries))
		for _, e := range catalogue.Entries {
			bytes, exact := e.Bytes()
			list = append(list, availableJSON{e, bytes, exact, e.Verified(), names[e.Name], e.Name == catalogue.Default})
		}
		return a.printJSON(list)
	}
	unverified := false
	err := table(a.out, "NAME\tSIZE\tPARAMETERS\tQUANTIZATION\tLICENCE\tHERE\tWHAT", func(row func(...string)) {
		for _, e := range catalogue.Entries {
			mark := ""
			if names[e.Name] {
				mark = "yes"
			}
			bytes, exact := e.Bytes()
			text := size(bytes)
			if !exact {
				text = "~" + text
			}
			if !e.Verified() {
				text, unverified = text+" *", true
			}
			row(e.Name, text, count(e.Parameters), e.Quantization, e.Licence.SPDX, mark, e.Summary)
		}
	})
	if unverified {
		fmt.Fprintln(a.out, "\n* nobody has verified the digest yet: pull records what it gets")
	}
	return err
}

// table aligns rows in columns. What rows hold may come from others.
func table(out io.Writer, head string, fill func(row func(...string))) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, head)
	fill(func(cells ...string) {
		for i, cell := range cells {
			cells[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(printable(cell))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	})
	return w.Flush()
}

// count writes a number of parameters as people say it: 134.5 M, 46.7 B.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f B", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}

// plural is a number of things: 1 file, 2 files.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
