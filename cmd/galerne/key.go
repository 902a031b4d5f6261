package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/govern"
)

type keyCmd struct {
	Add    keyAddCmd    `cmd:"" help:"Make a key and print its secret, once."`
	List   keyListCmd   `cmd:"" help:"List the keys, without their secrets."`
	Revoke keyRevokeCmd `cmd:"" help:"End keys: servers that run refuse them within a second."`
	Rotate keyRotateCmd `cmd:"" help:"Give a key a new secret; the old one is refused from then on."`
	AWS    keyAWSCmd    `cmd:"" name:"aws" help:"Print what a key's holder gives to Amazon's clients, who sign: an access key id and a secret access key."`
	Limits keyLimitsCmd `cmd:"" help:"Change how much a key may use."`
}

// database opens the database, the data folder's unless another is named, and makes a file that is not
// there.
func (a *app) database() (*db.DB, error) {
	if where := firstOf(a.db, a.env.db); where != "" {
		return db.Open(a.ctx, where)
	}
	if a.home == "" {
		return nil, errHome
	}
	return db.Open(a.ctx, filepath.Join(a.home, "galerne.db"))
}

// withKeys gives the database's keys to do, and closes it.
func (a *app) withKeys(do func(k *govern.Keys) error) error {
	d, err := a.database()
	if err != nil {
		return err
	}
	defer d.Close()
	return do(govern.NewKeys(d, nil))
}

// limitFlags are the same for add and limits; nil is not said.
type limitFlags struct {
	Requests *int `name:"requests-per-minute" help:"Requests a minute; 0: no limit." placeholder:"N"`
	Tokens   *int `name:"tokens-per-minute" help:"Tokens a minute, read and made; 0: no limit." placeholder:"N"`
	Answers  *int `name:"answers" help:"Answers under way at once; 0: no limit." placeholder:"N"`
	Daily    *int `name:"tokens-per-day" help:"Tokens a day (UTC), read and made; 0: no limit." placeholder:"N"`
}

func (f *limitFlags) set(l *govern.Limits) {
	for to, from := range map[*int]*int{&l.Requests: f.Requests, &l.Tokens: f.Tokens, &l.Answers: f.Answers, &l.Daily: f.Daily} {
		if from != nil {
			*to = *from
		}
	}
}

// keyJSON is a key as --json prints it; the secret only where it is new.
type keyJSON struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Secret   string     `json:"secret,omitempty"`
	Tenant   string     `json:"tenant"`
	Scopes   []string   `json:"scopes"`
	Models   []string   `json:"models"`
	From     []string   `json:"from"`
	Requests int        `json:"requests_per_minute"`
	Tokens   int        `json:"tokens_per_minute"`
	Answers  int        `json:"answers"`
	Daily    int        `json:"tokens_per_day"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires"`
	Revoked  *time.Time `json:"revoked"`
}

func keyOf(k govern.Key, secret string) keyJSON {
	orNil := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return keyJSON{ID: k.ID, Name: k.Name, Secret: secret, Tenant: k.Tenant, Scopes: append([]string{}, k.Scopes...), Models: append([]string{}, k.Models...), From: append([]string{}, k.From...),
		Requests: k.Limits.Requests, Tokens: k.Limits.Tokens, Answers: k.Limits.Answers, Daily: k.Limits.Daily,
		Created: k.Created, Expires: orNil(k.Expires), Revoked: orNil(k.Revoked)}
}

type keyAddCmd struct {
	Name    string  `arg:"" optional:"" help:"What you call it. Default: key-ID."`
	Scopes  words   `name:"scope" help:"What it may do: ${scopes}; may be repeated. Default: everything." placeholder:"SCOPE"`
	Models  words   `name:"model" help:"A model that it may use, or a pattern (qwen*); may be repeated. Default: all." placeholder:"NAME"`
	From    words   `name:"from" help:"An address or a network that its callers are in (10.0.0.0/8); may be repeated. Default: anywhere." placeholder:"NETWORK"`
	Expires *string `help:"When it ends: after a time (90d, 12h) or at the begin of a day (2027-01-31)." placeholder:"WHEN"`
	Tenant  string  `help:"Keys of one tenant share files, batches and cached prompts. Default: the key alone." placeholder:"NAME"`
	limitFlags
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *keyAddCmd) Run(a *app) error {
	for _, s := range c.Scopes {
		if !slices.Contains(api.Scopes(), api.Scope(s)) {
			return fmt.Errorf("%q is no scope: choose among %s", s, scopeNames())
		}
	}
	for _, m := range c.Models {
		if !chat.IsPattern(m) {
			return fmt.Errorf("%q is no pattern of models: write a name, or one with * for any text", m)
		}
	}
	var expires time.Time
	if c.Expires != nil {
		var err error
		if expires, err = after(*c.Expires, time.Now()); err != nil {
			return err
		}
	}
	key := govern.Key{Name: c.Name, Scopes: c.Scopes, Models: c.Models, From: c.From, Tenant: c.Tenant, Expires: expires}
	c.set(&key.Limits)
	return a.withKeys(func(k *govern.Keys) error {
		made, secret, err := k.Add(a.ctx, key)
		if err != nil {
			return err
		}
		return a.tellSecret(made, secret, c.JSON)
	})
}

// tellSecret prints a secret, which cannot be had again.
func (a *app) tellSecret(k govern.Key, secret string, asJSON bool) error {
	if asJSON {
		return a.printJSON(keyOf(k, secret))
	}
	a.say("Key %s. Keep its secret now; it cannot be shown again:", printable(k.Name))
	_, err := fmt.Fprintln(a.out, secret)
	return err
}

func scopeNames() string {
	var names []string
	for _, s := range api.Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// after reads a time from now on: 90d, 12h, 2027-01-31, or as RFC 3339 has it.
func after(text string, now time.Time) (time.Time, error) { return when(text, now, 1) }

// before reads a time that may be told by how long ago it was.
func before(text string, now time.Time) (time.Time, error) { return when(text, now, -1) }

func when(text string, now time.Time, way int) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("a time is empty: write 90d, 12h or 2027-01-31")
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100000 {
			return now.AddDate(0, 0, way*n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(time.Duration(way) * d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 90d, 12h or 2027-01-31", text)
}

type keyListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *keyListCmd) Run(a *app) error {
	return a.withKeys(func(k *govern.Keys) error {
		all, err := k.List(a.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			out := []keyJSON{}
			for _, k := range all {
				out = append(out, keyOf(k, ""))
			}
			return a.printJSON(out)
		}
		if len(all) == 0 {
			a.say("There is no key: this machine may call without one. Try: galerne key add NAME")
			return nil
		}
		return table(a.out, "NAME\tID\tSCOPES\tMODELS\tFROM\tLIMITS\tCREATED\tSTATE", func(row func(...string)) {
			for _, k := range all {
				row(k.Name, k.ID, cmp.Or(strings.Join(k.Scopes, ","), "all"), cmp.Or(strings.Join(k.Models, ","), "all"), cmp.Or(strings.Join(k.From, ","), "anywhere"), limitWords(k.Limits),
					k.Created.Local().Format(time.DateOnly), keyState(k, time.Now()))
			}
		})
	})
}

func limitWords(l govern.Limits) string {
	var out []string
	for _, w := range []struct {
		n    int
		what string
	}{{l.Requests, "requests/min"}, {l.Tokens, "tokens/min"}, {l.Answers, "at once"}, {l.Daily, "tokens/day"}} {
		if w.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

func keyState(k govern.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + k.Revoked.Local().Format(time.DateOnly)
	case k.Expires.IsZero():
		return "good"
	case now.Before(k.Expires):
		return "good until " + k.Expires.Local().Format("2006-01-02 15:04")
	}
	return "expired " + k.Expires.Local().Format(time.DateOnly)
}

type keyRevokeCmd struct {
	Keys   []string `arg:"" name:"key" help:"Names, IDs, or secrets."`
	Forget bool     `help:"Take it out of the list too. When no key is left, this machine may call without one again."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (c *keyRevokeCmd) Run(a *app) error {
	return a.withKeys(func(k *govern.Keys) error {
		revoked := []keyJSON{}
		var errs []error
		for _, name := range c.Keys {
			end := k.Revoke
			if c.Forget {
				end = k.Forget
			}
			key, err := end(a.ctx, name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			revoked = append(revoked, keyOf(key, ""))
			if !c.JSON {
				fmt.Fprintf(a.out, "%s is refused from now on.\n", printable(key.Name))
			}
		}
		if c.JSON {
			errs = append(errs, a.printJSON(revoked))
		}
		return errors.Join(errs...)
	})
}

type keyRotateCmd struct {
	Key  string `arg:"" help:"A name or an ID."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *keyRotateCmd) Run(a *app) error {
	return a.withKeys(func(k *govern.Keys) error {
		key, secret, err := k.Rotate(a.ctx, c.Key)
		if err != nil {
			return err
		}
		return a.tellSecret(key, secret, c.JSON)
	})
}

type keyLimitsCmd struct {
	Key string `arg:"" help:"A name or an ID."`
	limitFlags
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *keyLimitsCmd) Run(a *app) error {
	return a.withKeys(func(k *govern.Keys) error {
		key, err := k.SetLimits(a.ctx, c.Key, c.set)
		if err != nil {
			return err
		}
		if c.JSON {
			return a.printJSON(keyOf(key, ""))
		}
		_, err = fmt.Fprintf(a.out, "%s: %s\n", printable(key.Name), limitWords(key.Limits))
		return err
	})
}

type keyAWSCmd struct {
	Key  string `arg:"" help:"A name or an ID."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *keyAWSCmd) Run(a *app) error {
	if a.home == "" {
		return errHome
	}
	if err := makeMaster(a.home); err != nil {
		return err
	}
	return a.withKeys(func(k *govern.Keys) error {
		key, err := k.Find(a.ctx, c.Key)
		if err != nil {
			return err
		}
		_, secret, err := (&door{keys: k, home: a.home}).signer().Secret(a.ctx, key.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return a.printJSON(map[string]string{"aws_access_key_id": key.ID, "aws_secret_access_key": secret})
		}
		_, err = fmt.Fprintf(a.out, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", key.ID, secret)
		return err
	})
}
