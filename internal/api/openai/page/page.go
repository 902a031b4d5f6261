// Package page answers: which part of a list does a client of OpenAI's ask for, and how is it told?
package page

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// Shape is how long pages of a list are, and where it begins if nobody says so.
type Shape struct {
	Usual, Most int
	Oldest      bool
}

// Read reads limit, after and order. What is listed has IDs with a prefix that the store does not know.
func Read(c *api.Call, prefix string, s Shape) (jobs.Page, error) {
	q := c.R.URL.Query()
	p := jobs.Page{After: strings.TrimPrefix(q.Get("after"), prefix), Limit: s.Usual, Oldest: s.Oldest}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > s.Most {
			return p, openai.Invalid("limit", "limit is %.60q: it must be from 1 to %d", text, s.Most)
		}
		p.Limit = n
	}
	switch order := q.Get("order"); order {
	case "":
	case "asc", "desc":
		p.Oldest = order == "asc"
	default:
		return p, openai.Invalid("order", "order is %.60q: asc and desc are possible", order)
	}
	return p, nil
}

// List is a page as clients read it.
type List[T any] struct {
	Object string  `json:"object"`
	Data   []T     `json:"data"`
	First  *string `json:"first_id"`
	Last   *string `json:"last_id"`
	More   bool    `json:"has_more"`
}

// Named is one of a list whose ID stands apart from the rest.
type Named struct {
	ID string
	As map[string]json.RawMessage // with the ID
}

// MarshalJSON implements json.Marshaler.
func (n Named) MarshalJSON() ([]byte, error) { return api.Encode(n.As) }

// NameOf is for lists of Named.
func NameOf(n *Named) string { return n.ID }

// Of is the page that has all of these.
func Of[T any](all []T, more bool, id func(*T) string) List[T] {
	out := List[T]{Object: "list", Data: all, More: more}
	if n := len(all); n > 0 {
		first, last := id(&all[0]), id(&all[n-1])
		out.First, out.Last = &first, &last
	}
	return out
}

// Cut is a page of all that there is, given with the oldest first.
func Cut[T any](all []T, p jobs.Page, id func(*T) string) (List[T], error) {
	if !p.Oldest {
		slices.Reverse(all)
	}
	if p.After != "" {
		i := slices.IndexFunc(all, func(one T) bool { return id(&one) == p.After })
		if i < 0 {
			return List[T]{}, openai.Invalid("after", "there is no item %.80q", p.After)
		}
		all = all[i+1:]
	}
	n := min(len(all), p.Limit)
	return Of(all[:n], n < len(all), id), nil
}

// At names the field that an error is about, where what it names is not there.
func At(param string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Kind == fault.NotFound {
		return e.At(param)
	}
	return err
}
