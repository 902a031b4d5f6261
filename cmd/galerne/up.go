package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/serve"
)

type upCmd struct {
	Models []string `arg:"" optional:"" name:"model" help:"What to serve, the default first: names, files, folders or sources. None: the catalogue's default model."`
	serveFlags
}

func (c *upCmd) Run(a *app) error {
	h, err := a.hub()
	if err != nil {
		return err
	}
	if err := c.tryListen(a); err != nil { // before gigabytes come
		return err
	}
	models := c.Models
	if len(models) == 0 {
		models = []string{h.Catalogue().Default}
	}
	for _, name := range models {
		if err := a.ensure(h, name); err != nil {
			return err
		}
	}
	return c.serve(a, h, models, func(address string, key bool, s *serve.Server) { c.greet(a, address, key, s) })
}

// greet loads the default model and says how to call it.
func (c *upCmd) greet(a *app, address string, key bool, s *serve.Server) {
	if err := s.Load(a.ctx, "", nil); err != nil {
		a.say("galerne: %v", err)
		return
	}
	m, err := s.Model(a.ctx, "")
	if err != nil {
		a.say("galerne: %v", err)
		return
	}
	fmt.Fprint(a.out, howToCall(m, callable(address), key))
}

// callable is an address that can be called from this machine: who listens on all of them has 0.0.0.0
// or [::], which name none.
func callable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip, bad := netip.ParseAddr(host); err == nil && bad == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// howToCall is what a person needs next.
func howToCall(m *chat.Model, address string, key bool) string {
	header, apiKey := "", "unused"
	if key {
		header, apiKey = ` -H "Authorization: Bearer $GALERNE_API_KEY"`, "your key"
	}
	path, ask := "chat/completions", `"messages": [{"role": "user", "content": "What is a galerne?"}]`
	switch {
	case m.Ranks():
		path, ask = "rerank", `"query": "a wind", "documents": ["The galerne blows.", "Bread."]`
	case len(m.Labels) > 0:
		path, ask = "classifications", `"input": "A galerne is a wind."`
	case !m.Chats:
		path, ask = "embeddings", `"input": "A galerne is a wind."`
	}
	var b strings.Builder
	fmt.Fprintf(&b, `
%s is ready: %s, contexts of up to %d tokens.

  curl http://%s/v1/%s%s -H "Content-Type: application/json" \
    -d '{"model": "%s", %s}'

  from openai import OpenAI
  client = OpenAI(base_url="http://%s/v1", api_key="%s")

Health: http://%s/readyz   Metrics: http://%s/metrics   Stop: Ctrl-C
`, m.Name, memoryOf(m), m.Context, address, path, header, m.Name, ask, address, apiKey, address, address)
	if m.Chats && m.Parameters > 0 && m.Parameters < 1e9 {
		fmt.Fprintf(&b, "\nA model of %d million parameters writes fluently and gets many facts wrong: check what matters,\nor choose a larger one (galerne list --available).\n", (m.Parameters+5e5)/1e6)
	}
	return b.String()
}

// memoryOf says what a model takes now, and what it may come to take.
func memoryOf(m *chat.Model) string {
	if m.WeightBytes == 0 || m.WeightBytes == m.MemoryBytes {
		return size(m.MemoryBytes) + " of memory"
	}
	return fmt.Sprintf("%s of memory for its weights, at most %s with the conversations that are kept", size(m.WeightBytes), size(m.MemoryBytes))
}

// unserved is the error for a name that nothing served has: what is served instead, and what helps.
func (l *library) unserved(name string, served []string) error {
	served = append(slices.Clone(served), l.elsewhere...)
	remedy := ""
	if len(served) > 0 && plainName.MatchString(name) {
		remedy = fmt.Sprintf("galerne serve --alias %s=%s answers to that name too", name, served[0])
	}
	return l.lacking(name, served, remedy)
}

// lacking is that error where there is another remedy for a name that nobody knows.
func (l *library) lacking(name string, served []string, remedy string) error {
	have, names := "nothing is on this machine yet", map[string]string{}
	if len(served) > 0 {
		have = "served are " + strings.Join(served, ", ")
	}
	for _, s := range served {
		names[s] = s
	}
	near, known := hub.Near(name, names), l.hub.Catalogue().Find(name)
	switch {
	case known != nil && l.fixed:
		remedy = "name it at start to serve it too"
	case known != nil:
		remedy = fmt.Sprintf("galerne pull %s gets it", known.Name)
	case len(near) > 0:
		remedy = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	case len(served) == 0:
		remedy = fmt.Sprintf("galerne pull %s gets the smallest", l.hub.Catalogue().Default)
	case remedy == "":
		remedy = "galerne list --available shows what can be pulled"
	}
	return chat.ErrModel.Because("the model %q is not served: %s; %s", name, have, remedy).At("model")
}

// plainName is a name that a shell takes as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,100}$`)

// ensure pulls a model that is not on this machine.
func (a *app) ensure(h *hub.Hub, name string) error {
	_, err := h.Resolve(name)
	if err == nil || !isNotPulled(err) {
		return err
	}
	return a.pull(h, name)
}
