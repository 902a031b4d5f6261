package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/azure"
	"github.com/galerne-ai/galerne/internal/api/bedrock"
	"github.com/galerne-ai/galerne/internal/api/cohere"
	"github.com/galerne-ai/galerne/internal/api/gemini"
	"github.com/galerne-ai/galerne/internal/api/hf"
	"github.com/galerne-ai/galerne/internal/api/mistral"
	"github.com/galerne-ai/galerne/internal/api/ollama"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/batches"
	"github.com/galerne-ai/galerne/internal/api/openai/responses"
	"github.com/galerne-ai/galerne/internal/api/openai/stored"
	"github.com/galerne-ai/galerne/internal/api/replicate"
	"github.com/galerne-ai/galerne/internal/api/together"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/govern"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/jobs"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/metric"
	"github.com/galerne-ai/galerne/internal/serve"
)

// serveFlags are what serve and up share.
type serveFlags struct {
	Listen string  `help:"Address to listen on; one that other machines reach needs a key." default:"${listen}" placeholder:"HOST:PORT"`
	Key    *string `help:"The key that callers must send, also $$GALERNE_API_KEY." placeholder:"KEY"`
	NoAuth bool    `help:"Let everybody who reaches the address in, without a key."`

	Memory        byteSize `help:"Memory that all loaded models may take together (16GiB). Default: nine tenths of what is free." placeholder:"SIZE"`
	Context       int      `help:"Longest sequence in tokens, prompt and answer together. Default: the model's own, or what fits." placeholder:"TOKENS"`
	Cache         string   `help:"How keys and values are kept: f16, or q8 for half the memory." enum:"f16,q8" default:"f16"`
	Threads       int      `help:"Threads for computing. Default: one a CPU." placeholder:"N"`
	Slots         int      `help:"Answers that one model writes at once." default:"64" placeholder:"N"`
	Queue         int      `help:"Requests that may wait for one model; more are refused." default:"256" placeholder:"N"`
	NoGuess       bool     `help:"Do not guess an answer's next tokens from its own text and its prompt's. Answers are the same; those that quote or edit are slower."`
	Deterministic bool     `help:"Read prompts with the arithmetic that answers are written with, so that the same request gives the same bits whatever is cached. Where tiles of bf16 would read them (AMX) that takes up to twice as long; elsewhere it changes nothing."`

	KeepAlive time.Duration `help:"Unload a model that was idle for so long; 0s, the default: only when another needs the memory." placeholder:"DURATION"`
	Drain     time.Duration `help:"How long answers under way may take at shutdown; a second Ctrl-C ends them." default:"30s" placeholder:"DURATION"`

	Upstreams []string `name:"upstream" sep:"none" help:"A model of another server with OpenAI's API (vLLM, SGLang, llama-server): its name here, the servers' addresses, and its name there if that differs. Their key is $$GALERNE_UPSTREAM_KEY. May be repeated." placeholder:"NAME=URL[,URL…][#NAME-THERE]"`

	Aliases []string `name:"alias" sep:"none" help:"A further name of a model, for programs that ask for one by another's name; * stands for any letters (gpt-*=qwen3-8b). May be repeated." placeholder:"NAME=MODEL"`

	Webhooks []string `name:"webhook" help:"Host that Replicate's webhooks may be sent to, as HOST or HOST:PORT, or *; may be repeated." placeholder:"HOST"`

	Keep time.Duration `help:"How long answers are kept: those of the Responses API unless a request says not to, those of chats with store: true; 0: none are." default:"720h" placeholder:"DURATION"`

	Origins origins `name:"origin" help:"A web page's origin that may call from a browser (https://chat.example.org), or *; may be repeated." placeholder:"URL"`
	Strict  bool    `help:"Refuse request fields that are not known, instead of ignoring them."`
	Log     string  `help:"What is logged: error, warn, info, debug." enum:"error,warn,info,debug" default:"info"`
	LogJSON bool    `help:"Log as JSON lines."`
}

type serveCmd struct {
	Models []string `arg:"" optional:"" name:"model" help:"What to serve, the default first: names, files or folders. None: every model on this machine."`
	serveFlags
}

func (c *serveCmd) Run(a *app) error {
	h, err := a.hub()
	if err != nil {
		return err
	}
	return c.serve(a, h, c.Models, nil)
}

// serve listens and answers until the app's context ends. started, if not nil, is called once the
// address is open.
func (f *serveFlags) serve(a *app, h *hub.Hub, models []string, started func(address string, key bool, s *serve.Server)) error {
	library, err := newLibrary(h, models)
	if err != nil {
		return err
	}
	for _, text := range f.Upstreams {
		name, _, _ := strings.Cut(text, "=")
		library.elsewhere = append(library.elsewhere, name)
	}
	store, err := a.database()
	if err != nil {
		return err
	}
	defer store.Close()
	who := f.door(a, store)
	l, err := f.listen(who)
	if err != nil {
		return err
	}
	defer l.Close()
	log, registry := f.logger(a), metric.New()
	backend := serve.New(f.engine(library, log, registry))
	defer backend.Close()
	all, closeUpstreams, err := f.everyModel(a, library, backend, log)
	if err != nil {
		return err
	}
	defer closeUpstreams()
	if err := library.check(backend, log); err != nil {
		return err
	}
	meter := govern.NewMeter(store, log)
	defer closeMeter(meter, log)
	kept := newJobs(a.home, store, log)
	told, err := f.predictions(a, kept)
	if err != nil {
		return err
	}
	defer told.Telling.Wait()
	o := api.Options{Backend: all, Keys: who, Done: noteUsage(meter), Replies: kept, Surfaces: surfaces(library, kept, f.Keep, told), NoAuth: f.NoAuth, Origins: f.Origins, Strict: f.Strict,
		Ready: backend.Ready, Registry: registry, Log: log, Drain: f.Drain}
	server, err := api.New(o)
	if err != nil {
		return err
	}
	defer goOn(a.ctx, kept, who.do(server))()
	for _, path := range exposed(a.home) {
		log.Warn("others on this machine can read what only the server should: take their rights away (chmod go-rwx)", "path", path)
	}
	log.Info("listening", "address", l.Addr().String(), "key", who.Any())
	if started != nil {
		go started(l.Addr().String(), who.Any(), backend)
	}
	return server.Serve(a.ctx, l)
}

// engine is what the flags say of loading and computing.
func (f *serveFlags) engine(l *library, log *slog.Logger, r *prometheus.Registry) serve.Options {
	cache := kernel.CacheF16
	if f.Cache == "q8" {
		cache = kernel.CacheQ8
	}
	return serve.Options{Find: l.find, List: l.list, Memory: int64(f.Memory), Context: f.Context, CacheType: cache,
		Threads: f.Threads, Queue: f.Queue, Slots: f.Slots, NoGuess: f.NoGuess, Deterministic: f.Deterministic, KeepAlive: f.KeepAlive, Log: log, Registry: r}
}

// surfaces are the vendors' APIs that are served.
func surfaces(l *library, kept *jobs.Store, keep time.Duration, p replicate.Options) []*api.Surface {
	answers := responses.Routes()
	if keep > 0 {
		answers = append(responses.Stored(kept, keep), stored.Routes(kept, keep)...)
	}
	own := openai.Surface(append(answers, batches.Routes(kept)...)...)
	return []*api.Surface{
		own,
		azure.Surface(own),
		anthropic.Surface(kept),
		ollama.Surface(l),
		gemini.Surface(),
		mistral.Surface(),
		bedrock.Surface(),
		replicate.Surface(p),
		hf.Surface(own),
		together.Surface(),
		cohere.Surface(), // whose /v1/rerank says less than Together's to clients that nothing tells apart
	}
}

// door is who may call, as the flags, the environment and the database say.
func (f *serveFlags) door(a *app, store *db.DB) *door {
	who := &door{keys: govern.NewKeys(store, nil), home: a.home}
	switch key := firstOf(a.env.key); {
	case f.Key != nil:
		who.one = api.OneKey(*f.Key)
	case key != "":
		who.one = api.OneKey(key)
	}
	return who
}

// listen opens the address.
func (f *serveFlags) listen(who *door) (net.Listener, error) {
	if err := f.checkListen(who.Any()); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", f.Listen)
	if system := (*os.SyscallError)(nil); errors.As(err, &system) {
		err = system.Err // what stands around it names the address again
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --listen", f.Listen, err)
	}
	return l, nil
}

// tryListen finds out whether the address can be had. It is not kept: who calls while a model is fetched shall be refused, not
// left waiting for an answer.
func (f *serveFlags) tryListen(a *app) error {
	store, err := a.database()
	if err != nil {
		return err
	}
	defer store.Close()
	l, err := f.listen(f.door(a, store))
	if err != nil {
		return err
	}
	return l.Close()
}

// checkListen refuses an address that other machines reach unless somebody has thought of who may call.
func (f *serveFlags) checkListen(key bool) error {
	host, port, err := net.SplitHostPort(f.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w: write HOST:PORT, as in %s", f.Listen, err, defaultListen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("--listen %s: the port must be a number from 0 to 65535", f.Listen)
	}
	if key || f.NoAuth || strings.EqualFold(host, "localhost") {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s: other machines reach this address: make a key (galerne key add NAME) or set one (--key, or GALERNE_API_KEY), or say --no-auth if everybody may use it", f.Listen)
}

// library is the models that a server offers: the ones that were named, or all that were pulled.
type library struct {
	hub   *hub.Hub
	fixed bool // the named ones, and those that were pulled since
	// elsewhere are the models of other servers, to tell who asks for what is not served.
	elsewhere []string
	mu        sync.Mutex
	named     []serve.Entry
}

func newLibrary(h *hub.Hub, models []string) (*library, error) {
	l := &library{hub: h, fixed: len(models) > 0}
	for _, name := range models {
		r, err := h.Resolve(name)
		if err != nil {
			return nil, err
		}
		e := serve.Entry{Name: r.Name, Path: r.Path}
		if r.Manifest != nil {
			e = l.entry(r.Manifest)
		} else if st, err := os.Stat(r.Path); err == nil {
			e.Created = st.ModTime()
		}
		if name != e.Name {
			e.Aliases = append(e.Aliases, name)
		}
		if err := l.offer(e); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *library) entry(m *hub.Manifest) serve.Entry {
	e := serve.Entry{Name: m.Name, Path: l.hub.Path(m), Licence: m.Licence.SPDX, Created: m.Pulled, Parameters: m.Parameters, Sampling: l.hub.Catalogue().Sampling(m.Name)}
	if len(m.Files) == 1 {
		e.Digest = m.Files[0].SHA256
	}
	if c := l.hub.Catalogue().Find(m.Name); c != nil {
		e.Aliases = append(e.Aliases, c.Aliases...)
	}
	return e
}

// list gives the default model first: the first that was named, else the catalogue's default, else the
// first that can chat. Named ones that were removed since are not in it.
func (l *library) list() ([]serve.Entry, error) {
	if l.fixed {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.DeleteFunc(slices.Clone(l.named), removed), nil
	}
	all, err := l.hub.Models()
	if err != nil && len(all) == 0 { // what is damaged hides itself alone; check has told
		return nil, err
	}
	var out []serve.Entry
	best := 0
	for i, m := range all {
		out = append(out, l.entry(m))
		if m.Name == l.hub.Catalogue().Default || all[best].Use == "embeddings" && m.Use != "embeddings" {
			best = i
		}
	}
	if best > 0 {
		first := out[best]
		copy(out[1:best+1], out[:best])
		out[0] = first
	}
	return out, nil
}

// removed reports whether a model's file is no longer there.
func removed(e serve.Entry) bool {
	_, err := os.Stat(e.Path)
	return errors.Is(err, fs.ErrNotExist)
}

// find looks a name up among what is served.
func (l *library) find(name string) (serve.Entry, error) {
	all, err := l.list()
	if err != nil {
		return serve.Entry{}, err
	}
	var names []string
	for _, e := range all {
		if goesBy(e, name) {
			return e, nil
		}
		names = append(names, e.Name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.named, func(e serve.Entry) bool { return goesBy(e, name) }) {
		return serve.Entry{}, chat.ErrModel.Because("the model %q was removed from this machine since the server began: get it again (galerne pull %s)", name, name).At("model")
	}
	return serve.Entry{}, l.unserved(name, names)
}

// goesBy reports whether a name is one of a model's.
func goesBy(e serve.Entry, name string) bool {
	return slices.ContainsFunc(append([]string{e.Name}, e.Aliases...), func(own string) bool {
		return strings.EqualFold(own, name) || strings.EqualFold(own+":latest", name)
	})
}

// byteSize is a number of bytes as people write it: 512MB, 16GiB, 1.5g.
type byteSize int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	digits := strings.TrimRight(s, "bikmgt ")
	unit := strings.TrimSpace(s[len(digits):])
	v, err := strconv.ParseFloat(digits, 64)
	scale := map[string]float64{"": 1, "b": 1, "k": 1e3, "kb": 1e3, "kib": 1 << 10, "m": 1e6, "mb": 1e6, "mib": 1 << 20,
		"g": 1e9, "gb": 1e9, "gib": 1 << 30, "t": 1e12, "tb": 1e12, "tib": 1 << 40}[unit]
	if err != nil || scale == 0 || !(v > 0) || v*scale > 1<<60 {
		return fmt.Errorf("%q is no size: write a number and a unit, as in 16GiB or 512MB", text)
	}
	*b = byteSize(v * scale)
	return nil
}
