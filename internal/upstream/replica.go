package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/outbound"
)

// replica is one server.
type replica struct {
	base string

	mu      sync.Mutex
	healthy bool
	active  int // answers under way from here
}

func (r *replica) begin() { r.mu.Lock(); r.active++; r.mu.Unlock() }
func (r *replica) end()   { r.mu.Lock(); r.active--; r.mu.Unlock() }

func (r *replica) up() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.healthy }

// set tells the health; it gives what it was.
func (r *replica) set(healthy bool) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, r.healthy = r.healthy, healthy
	return was
}

func (r *replica) load() (active int, healthy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active, r.healthy
}

// slack is how many more answers the replica that probably knows a prefix may have than the least loaded
// one: reading a prompt again costs about as much as a few answers' steps.
const slack = 3

// choose gives the healthy replica that the prefix belongs to, unless it is much more loaded than the
// least loaded one. A prefix of 0 belongs to none. Replicas that failed their last check come last. nil: all
// were tried.
func (m *model) choose(prefix uint64, tried map[*replica]bool) *replica {
	var home, least *replica
	var highest uint64
	homeLoad, leastLoad := 0, 0
	better := func(loadA int, upA bool, loadB int, upB bool) bool {
		return upA != upB && upA || upA == upB && loadA < loadB
	}
	leastUp := false
	for i, r := range m.replicas {
		if tried[r] {
			continue
		}
		load, up := r.load()
		if least == nil || better(load, up, leastLoad, leastUp) {
			least, leastLoad, leastUp = r, load, up
		}
		if weight := rendezvous(prefix, i); up && prefix != 0 && (home == nil || weight > highest) {
			home, homeLoad, highest = r, load, weight
		}
	}
	if home != nil && homeLoad <= leastLoad+slack {
		return home
	}
	return least
}

// rendezvous is a replica's claim on a prefix: the highest gets it, and a replica that comes or goes
// moves only its own (Thaler and Ravishankar 1998, https://doi.org/10.1109/90.663936).
func rendezvous(prefix uint64, replica int) uint64 {
	z := prefix + uint64(replica+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// prefixBytes of a prompt's beginning decide which replica it belongs to: long enough to tell applications
// apart.
const prefixBytes = 512

// prefixOf ends with what the user said first, so that the turns of one conversation stay together.
func prefixOf(r *chat.Request) uint64 {
	h := fnv.New64a()
	left := prefixBytes
	add := func(s string) {
		s = s[:min(left, len(s))]
		left -= len(s)
		_, _ = h.Write([]byte(s)) // never fails
	}
	add(r.Tenant + "\x00")
	if r.Raw != nil {
		add(r.Raw.Text)
		for _, id := range r.Raw.Tokens[:min(len(r.Raw.Tokens), prefixBytes/4)] {
			add(strconv.Itoa(int(id)) + ",")
		}
	}
	for _, m := range r.Messages {
		for _, p := range m.Parts {
			add(string(m.Role) + p.Text)
		}
		if m.Role == chat.User {
			break
		}
	}
	return h.Sum64()
}

// answerLimit bounds what is read of an answer that is not streamed.
const answerLimit = 256 << 20

// send calls a replica. A status other than 200 becomes an error of the kind that it means.
func (m *model) send(ctx context.Context, r *replica, method, path string, body []byte) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, content)
	if err != nil {
		return nil, ErrOption.Because("upstream: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if m.Key != "" {
		req.Header.Set("Authorization", "Bearer "+m.Key)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, m.failure(resp)
}

// complaint is what an error body says, in OpenAI's form or in one of those that others have.
type complaint struct {
	Message string `json:"message"`
	Code    any    `json:"code"`
	Param   string `json:"param"`
}

func complaintOf(body []byte) (inner complaint) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &e) == nil && json.Unmarshal(e.Error, &inner) != nil {
		_ = json.Unmarshal(e.Error, &inner.Message) // {"error": "text"}
	}
	if inner.Message == "" {
		inner.Message = e.Message
	}
	return inner
}

// failure is what a status and an error body mean.
func (m *model) failure(resp *http.Response) error {
	text, _ := outbound.ReadAll(resp.Body, 64<<10)
	inner := complaintOf(text)
	if inner.Message == "" {
		inner.Message = "status " + strconv.Itoa(resp.StatusCode)
	}
	after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable || s == 529:
		return ErrBusy.Because("upstream: %s: %s", m.Name, inner.Message).After(time.Duration(after) * time.Second)
	case s == http.StatusBadRequest && inner.Code == "context_length_exceeded":
		return ErrTooLong.Because("upstream: %s: %s", m.Name, inner.Message).At(inner.Param)
	case s == http.StatusBadRequest || s == http.StatusUnprocessableEntity || s == http.StatusRequestEntityTooLarge:
		return ErrRefused.Because("upstream: %s: %s", m.Name, inner.Message).At(inner.Param)
	case s == http.StatusNotFound:
		return ErrDown.Because("upstream: the server of %s does not know the model %q, or has no such endpoint: %s", m.Name, m.Remote, inner.Message)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return ErrDown.Because("upstream: the server of %s does not take our key: %s", m.Name, inner.Message)
	}
	return ErrDown.Because("upstream: the server of %s failed: %s", m.Name, inner.Message)
}

// attempts are the tries of one request, each at another replica.
type attempts struct {
	m      *model
	prefix uint64
	tried  map[*replica]bool
}

func (m *model) attempts(prefix uint64) *attempts {
	return &attempts{m: m, prefix: prefix, tried: map[*replica]bool{}}
}

// do tries replicas until one does not fail, and gives it; its end must be called. A replica that says that
// the request is wrong is the last: another would say the same.
func (a *attempts) do(ctx context.Context, try func(*replica) error) (*replica, error) {
	var last error
	for {
		rep := a.m.choose(a.prefix, a.tried)
		if rep == nil {
			break
		}
		a.tried[rep] = true
		rep.begin()
		if last = try(rep); last == nil {
			return rep, nil
		}
		rep.end()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if kind := fault.KindOf(last); kind == fault.Invalid || kind == fault.Denied {
			return nil, last
		}
		if errors.Is(last, outbound.ErrUnreachable) {
			rep.set(false)
		}
	}
	if last == nil || errors.Is(last, outbound.ErrUnreachable) {
		if len(a.m.replicas) == 1 {
			return nil, ErrDown.Because("upstream: the server of %s does not answer: %v", a.m.Name, last)
		}
		return nil, ErrDown.Because("upstream: none of the %d servers of %s answers: %v", len(a.m.replicas), a.m.Name, last)
	}
	return nil, last
}

// call posts and decodes a whole answer, from any replica that gives one.
func (m *model) call(ctx context.Context, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return chat.ErrRequest.Because("upstream: %w", err)
	}
	rep, err := m.attempts(0).do(ctx, func(r *replica) error { return m.callOne(ctx, r, path, body, answer) })
	if err == nil {
		rep.end()
	}
	return err
}

func (m *model) callOne(ctx context.Context, r *replica, path string, body []byte, answer any) error {
	resp, err := m.send(ctx, r, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := outbound.ReadAll(resp.Body, answerLimit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return ErrAnswer.Because("upstream: %s: %w", m.Name, err)
	}
	return nil
}
