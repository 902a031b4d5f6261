package main

import (
	"cmp"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/govern"
)

type usageCmd struct {
	By    string `help:"What is summed: key, model, day, surface." enum:"key,model,day,surface" default:"key"`
	Since string `help:"Only what was asked since a day (2026-11-01), or in the last days or hours (7d, 12h)." placeholder:"DAY"`
	Until string `help:"Only what was asked before a day, or longer ago than so many days or hours." placeholder:"DAY"`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// usageJSON is a sum as --json prints it.
type usageJSON struct {
	Of       string `json:"of"`
	Name     string `json:"name,omitempty"`
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	Prompt   int    `json:"prompt_tokens"`
	Cached   int    `json:"cached_tokens"`
	Answer   int    `json:"answer_tokens"`
}

func (c *usageCmd) Run(a *app) error {
	var since, until time.Time
	for _, day := range []struct {
		text string
		to   *time.Time
	}{{c.Since, &since}, {c.Until, &until}} {
		if day.text == "" {
			continue
		}
		var err error
		if *day.to, err = before(day.text, time.Now()); err != nil {
			return err
		}
	}
	d, err := a.database()
	if err != nil {
		return err
	}
	defer d.Close()
	all, err := govern.Totals(a.ctx, d, govern.By(c.By), since, until)
	if err != nil {
		return err
	}
	if c.JSON {
		out := []usageJSON{}
		for _, t := range all {
			out = append(out, usageJSON(t))
		}
		return a.printJSON(out)
	}
	if len(all) == 0 {
		a.say(map[bool]string{true: "Nothing was asked yet.", false: "Nothing was asked in that time."}[c.Since+c.Until == ""])
		return nil
	}
	head := map[string]string{"key": "KEY", "model": "MODEL", "day": "DAY", "surface": "SURFACE"}[c.By]
	return table(a.out, head+"\tREQUESTS\tFAILED\tPROMPT TOKENS\tOF THEM CACHED\tANSWER TOKENS", func(row func(...string)) {
		for _, t := range all {
			row(cmp.Or(t.Name, t.Of, "(none)"), strconv.Itoa(t.Requests), strconv.Itoa(t.Failed), strconv.Itoa(t.Prompt), strconv.Itoa(t.Cached), strconv.Itoa(t.Answer))
		}
	})
}
