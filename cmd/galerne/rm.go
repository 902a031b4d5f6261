package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/galerne-ai/galerne/internal/hub"
)

type rmCmd struct {
	Models     []string `arg:"" optional:"" name:"model" help:"Names, as \"galerne list\" shows them."`
	Unfinished bool     `help:"Remove what interrupted pulls left."`
	DryRun     bool     `help:"Only say what would be removed."`
	Yes        bool     `short:"y" help:"Do not ask, on a terminal."`
	JSON       bool     `name:"json" help:"Print JSON."`
}

func (c *rmCmd) Run(a *app) error {
	if len(c.Models) == 0 && !c.Unfinished {
		return errors.New("name a model to remove (galerne list), or use --unfinished")
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	removed := []hub.Removal{}
	for _, name := range c.Models {
		would, err := h.Remove(a.ctx, name, true)
		if err != nil {
			return err
		}
		if !c.DryRun && !c.sure(a, would) {
			a.say("%s stays.", would.Name)
			continue
		}
		r, err := h.Remove(a.ctx, name, c.DryRun)
		if err != nil {
			return err
		}
		removed = append(removed, r)
		c.tell(a, printable(r.Name), r)
	}
	if c.Unfinished {
		r, err := h.RemoveUnfinished(a.ctx, c.DryRun)
		if err != nil {
			return err
		}
		removed = append(removed, r)
		c.tell(a, "what interrupted pulls left", r)
	}
	if c.JSON {
		return a.printJSON(removed)
	}
	return nil
}

func (c *rmCmd) tell(a *app, what string, r hub.Removal) {
	verb := "Removed"
	if c.DryRun {
		verb = "Would remove"
	}
	if !c.JSON {
		fmt.Fprintf(a.out, "%s %s: %s, %s of disk.\n", verb, what, plural(r.Files, "file"), size(r.Bytes))
	}
}

// sure asks, where there is someone to answer.
func (c *rmCmd) sure(a *app, r hub.Removal) bool {
	if c.Yes || c.JSON || !isTerminal(a.in) || !isTerminal(a.err) {
		return true
	}
	fmt.Fprintf(a.err, "Remove %s (%s of disk)? [y/N] ", printable(r.Name), size(r.Bytes))
	answer, err := bufio.NewReader(io.LimitReader(a.in, 100)).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return (err == nil || err == io.EOF) && (answer == "y" || answer == "yes")
}
