package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/serve"
	"github.com/galerne-ai/galerne/internal/terminal"
)

type chatCmd struct {
	Model    string   `arg:"" optional:"" default:"default" help:"A catalogue name, a .gguf file, a folder or a source. None: the catalogue's default model."`
	Question []string `arg:"" optional:"" help:"Ask this, print the answer and end. Without it, and where standard input is no terminal, the question is all of standard input."`

	System      string   `help:"Instructions for the model, before the conversation." placeholder:"TEXT"`
	Temperature *float64 `help:"How freely words are chosen: 0 always takes the likeliest." placeholder:"T"`
	TopP        *float64 `help:"Choose among the likeliest words whose probabilities reach P together." placeholder:"P"`
	Seed        *uint64  `help:"The same seed and question give the same answer." placeholder:"N"`
	MaxTokens   *int     `help:"Longest answer. Default: what the model's context has room for." placeholder:"N"`
	Stats       bool     `help:"Show token counts and speed after each answer."`
	JSON        bool     `name:"json" help:"Print the answer to one question as JSON, with its counts and times."`

	Memory  byteSize `help:"Memory that the model may take (16GiB). Default: nine tenths of what is free." placeholder:"SIZE"`
	Context int      `help:"Longest conversation in tokens. Default: the model's own, or what fits." placeholder:"TOKENS"`
	Cache   string   `help:"How keys and values are kept: f16, or q8 for half the memory." enum:"f16,q8" default:"f16"`
	Threads int      `help:"Threads for computing. Default: one a CPU." placeholder:"N"`
}

func (c *chatCmd) Run(a *app) error {
	s := &session{a: a, stats: c.Stats, system: c.System, sampling: chat.Sampling{Temperature: c.Temperature, TopP: c.TopP, Seed: c.Seed}, maxTokens: c.MaxTokens}
	if err := s.check(); err != nil {
		return err
	}
	if c.Context < 0 || c.Threads < 0 {
		return errInput.Because("--context %d and --threads %d: numbers from 0 (the default) on are possible", c.Context, c.Threads)
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	question := c.question()
	interactive := question == "" && isTerminal(a.in)
	if interactive && c.JSON {
		return errInput.Because("--json is for one question: give it as in galerne chat MODEL \"question\" --json, or on standard input")
	}
	if err := c.find(a, h, interactive); err != nil {
		return err
	}
	if question == "" && !interactive {
		text, err := a.readInput("the question")
		if err != nil {
			return err
		}
		if question = strings.Trim(string(text), "\r\n"); strings.TrimSpace(question) == "" {
			return errInput.Because("standard input is empty: give a question there, or as in galerne chat MODEL \"question\"")
		}
	}
	library, err := newLibrary(h, []string{c.Model})
	if err != nil {
		return err
	}
	cache := kernel.CacheF16
	if c.Cache == "q8" {
		cache = kernel.CacheQ8
	}
	// What goes wrong is told where it happens: there is no log.
	server := serve.New(serve.Options{Find: library.find, List: library.list, Memory: int64(c.Memory), Context: c.Context, CacheType: cache,
		Threads: c.Threads, Slots: 1, Log: slog.New(slog.DiscardHandler)})
	defer server.Close()
	s.server = server
	switch {
	case interactive:
		return s.talk()
	case c.JSON:
		return s.printAnswer(question)
	}
	_, err = s.ask(a.ctx, question)
	return err
}

// question is what the command line asks, in quotes or not.
func (c *chatCmd) question() string { return strings.Join(c.Question, " ") }

// find makes sure that the model is here; on a terminal it offers to get it.
func (c *chatCmd) find(a *app, h *hub.Hub, interactive bool) error {
	_, err := h.Resolve(c.Model)
	if err == nil || !isNotPulled(err) {
		if errors.Is(err, hub.ErrUnknown) && (len(c.Question) > 1 || len(c.Question) == 0 && strings.ContainsAny(c.Model, " ?\n")) {
			return fmt.Errorf("%w; to ask the default model, write: galerne chat default \"...\"", err)
		}
		return err
	}
	if !interactive || !isTerminal(a.err) {
		return err
	}
	name, about := c.Model, ""
	if e := h.Catalogue().Find(c.Model); e != nil {
		bytes, _ := e.Bytes()
		name, about = e.Name, fmt.Sprintf(" (%s, %s)", size(bytes), e.Licence.SPDX)
	}
	fmt.Fprintf(a.err, "%s%s is not on this machine. Get it now? [y/N] ", printable(name), about)
	answer := make(chan string, 1)
	go func() {
		word, _ := readWord(a.in)
		answer <- strings.ToLower(word)
	}()
	select {
	case word := <-answer:
		if word == "y" || word == "yes" {
			return a.pull(h, c.Model)
		}
		return err
	case <-a.ctx.Done(): // the program ends, and its reader with it
		fmt.Fprintln(a.err)
		return a.ctx.Err()
	}
}

// readWord reads a line byte by byte: what follows it is somebody else's.
func readWord(in io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < 1000 {
		n, err := in.Read(b[:])
		if err != nil {
			return strings.TrimSpace(string(line)), err
		}
		if n == 1 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
	}
	return strings.TrimSpace(string(line)), nil
}

// session is one conversation.
type session struct {
	a         *app
	server    chat.Backend
	system    string
	messages  []chat.Message // questions and answers in turn
	sampling  chat.Sampling
	maxTokens *int
	stats     bool

	terminal *terminal.Terminal // nil where nobody types
	said     strings.Builder    // the answer under way
	midLine  bool               // the last thing written did not end its line
	silent   bool               // nothing is written while the answer comes
}

// request is the conversation as it stands.
func (s *session) request() *chat.Request {
	r := &chat.Request{Sampling: s.sampling, MaxTokens: s.maxTokens}
	if s.system != "" {
		r.Messages = append(r.Messages, textMessage(chat.System, s.system))
	}
	r.Messages = append(r.Messages, s.messages...)
	return r
}

func textMessage(role chat.Role, text string) chat.Message {
	return chat.Message{Role: role, Parts: []chat.Part{{Kind: chat.TextPart, Text: text}}}
}

// ask adds a question and writes its answer as it comes. What was said before an interruption stays;
// a question that got nothing is taken back.
func (s *session) ask(ctx context.Context, question string) (*chat.Response, error) {
	s.messages = append(s.messages, textMessage(chat.User, question))
	s.said.Reset()
	r, err := s.stream(ctx)
	s.endLine()
	if err != nil && s.said.Len() == 0 {
		s.messages = s.messages[:len(s.messages)-1]
		return nil, err
	}
	s.messages = append(s.messages, textMessage(chat.Assistant, s.said.String()))
	if err == nil && !s.silent {
		s.tell(r)
	}
	return r, err
}

// stream writes the answer's text as it comes.
func (s *session) stream(ctx context.Context) (*chat.Response, error) {
	st, err := s.server.Respond(ctx, s.request())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	var fold chat.Fold
	for {
		ev, err := st.Next(ctx)
		if errors.Is(err, io.EOF) {
			return fold.Response(), ctx.Err() // an answer that was cut short ends too
		}
		if err != nil {
			return nil, err
		}
		fold.Add(ev)
		s.show(ev)
	}
}

// show writes what an event says: the answer, and on a terminal the reasoning before it, in grey.
func (s *session) show(ev chat.Event) {
	shown := ev.BlockKind == chat.TextBlock || ev.BlockKind == chat.ThinkingBlock && s.terminal != nil
	grey := ev.BlockKind == chat.ThinkingBlock && !s.a.env.noColour
	if ev.Kind == chat.Delta && ev.BlockKind == chat.TextBlock {
		s.said.WriteString(ev.Text)
	}
	switch {
	case !shown || s.silent:
	case ev.Kind == chat.BlockStart && grey:
		io.WriteString(s.a.out, "\x1b[90m")
	case ev.Kind == chat.BlockStop && ev.BlockKind == chat.ThinkingBlock:
		if grey {
			io.WriteString(s.a.out, "\x1b[0m")
		}
		s.endLine()
	case ev.Kind == chat.Delta && ev.Text != "":
		text := ev.Text
		if isTerminal(s.a.out) {
			text = printable(text)
		}
		io.WriteString(s.a.out, text)
		s.midLine = !strings.HasSuffix(text, "\n")
	}
}

func (s *session) endLine() {
	if s.midLine {
		fmt.Fprintln(s.a.out)
		s.midLine = false
	}
}

// tell says how the answer went: why it is not whole, and the counts if they are wanted.
func (s *session) tell(r *chat.Response) {
	switch r.Choices[0].Finish {
	case chat.Length:
		s.a.say("(the answer was cut at %d tokens)", *s.maxTokens)
	case chat.Full:
		s.a.say("(the model's context is full: the answer ends here; /new starts afresh, --context gives more)")
	}
	if !s.stats {
		return
	}
	speed := ""
	if r.Usage.Answer > 1 && r.Timing.Answer > 0 {
		speed = fmt.Sprintf(", %.1f tokens/s", float64(r.Usage.Answer-1)/r.Timing.Answer.Seconds())
	}
	s.a.say("(%d prompt tokens, %d of them known; %d answer tokens%s; first token after %s)", r.Usage.Prompt, r.Usage.Cached, r.Usage.Answer,
		speed, (r.Timing.Load + r.Timing.Queue + r.Timing.Prompt).Round(time.Millisecond))
}

// printAnswer answers one question in JSON.
func (s *session) printAnswer(question string) error {
	s.silent = true
	r, err := s.ask(s.a.ctx, question)
	if err != nil {
		return err
	}
	c := &r.Choices[0]
	return s.a.printJSON(struct {
		Model        string  `json:"model"`
		Text         string  `json:"text"`
		Thinking     string  `json:"thinking,omitempty"`
		Finish       string  `json:"finish"` // stop, length (--max-tokens) or full (the context)
		PromptTokens int     `json:"prompt_tokens"`
		AnswerTokens int     `json:"answer_tokens"`
		Load         float64 `json:"load_s"`
		Prompt       float64 `json:"prompt_s"`
		Answer       float64 `json:"answer_s"`
	}{r.Model, c.Text(chat.TextBlock), c.Text(chat.ThinkingBlock), c.Finish.String(), r.Usage.Prompt, r.Usage.Answer,
		r.Timing.Load.Seconds(), (r.Timing.Queue + r.Timing.Prompt).Seconds(), r.Timing.Answer.Seconds()})
}

// talk is the conversation on a terminal. The first Ctrl-C has already ended the app's context: it
// means something else here.
func (s *session) talk() error {
	ctx := context.WithoutCancel(s.a.ctx)
	out := s.a.out
	if !isTerminal(out) {
		out = s.a.err
	}
	s.terminal = terminal.Open(s.a.in.(*os.File), out)
	defer s.terminal.Close()
	s.a.say("Loading the model ...")
	interrupted, err := s.terminal.During(ctx, func(ctx context.Context) error { return s.server.Load(ctx, "", nil) })
	if interrupted {
		return context.Canceled
	}
	if err != nil {
		return err
	}
	m, err := s.server.Model(ctx, "")
	if err != nil {
		return err
	}
	s.a.say("%s, up to %d tokens. Ctrl-C stops an answer, /help shows what else there is, /bye ends.", printable(m.Name), m.Context)
	interrupts := 0
	for interrupts < 2 {
		text, err := s.terminal.Message(">>> ")
		switch {
		case errors.Is(err, terminal.ErrInterrupted):
			if interrupts++; interrupts < 2 {
				s.a.say("(Ctrl-C again, /bye or Ctrl-D ends)")
			}
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(out)
			return nil
		case err != nil:
			return err
		}
		interrupts = 0
		if ended, err := s.turn(ctx, text); ended || err != nil {
			return err
		}
	}
	return nil
}

// turn does what one message asks for. What goes wrong with it is told, and the conversation goes on.
func (s *session) turn(ctx context.Context, text string) (ended bool, err error) {
	if strings.TrimSpace(text) == "" {
		return false, nil
	}
	if name, rest, ok := slashCommand(text); ok {
		again, err := s.run(name, rest)
		switch {
		case errors.Is(err, errBye):
			return true, nil
		case err != nil:
			s.a.say("%v", err)
			return false, nil
		case again == "":
			return false, nil
		}
		text = again
	} else if strings.HasPrefix(text, "//") {
		text = text[1:]
	}
	interrupted, err := s.terminal.During(ctx, func(ctx context.Context) error { _, err := s.ask(ctx, text); return err })
	switch {
	case errors.Is(err, terminal.ErrTerminated):
		return true, err
	case interrupted:
		s.a.say("(stopped)")
	case fault.CodeOf(err) == "context_length_exceeded":
		s.a.say("galerne: %s (/undo takes the last answer back, /new starts afresh)", printable(err.Error()))
	case err != nil:
		s.a.say("galerne: %s", printable(err.Error()))
	}
	return false, nil
}

var errBye = errors.New("bye")

// slashCommand is the command that a message is. A path (/etc/hosts) and // at the beginning are none.
func slashCommand(text string) (name, rest string, ok bool) {
	if !strings.HasPrefix(text, "/") {
		return "", "", false
	}
	name, rest, _ = strings.Cut(text[1:], " ")
	if name == "" || strings.ContainsAny(name, "/.\n") {
		return "", "", false
	}
	return name, strings.TrimSpace(rest), true
}

const chatHelp = `/new               forget the conversation
/undo              take the last question and its answer back
/retry             ask the last question again
/system TEXT       instructions for the model; without TEXT: none
/set NAME VALUE    how answers are written; without NAME: show what there is
/save FILE         write the conversation to FILE: Markdown (.md), else JSON as "galerne inspect prompt" reads it
/stats             show token counts and speed after each answer, or no longer
/bye               end; also Ctrl-D, or Ctrl-C twice

A message of several lines: end a line with \, paste it, or put it between """ and """.
Ctrl-C stops an answer; what was written of it stays in the conversation.`

// run does a command; again is a question that it asks. Errors are for the one who typed it.
func (s *session) run(name, rest string) (again string, err error) {
	switch name {
	case "help", "?":
		s.a.say("%s", chatHelp)
	case "bye", "exit", "quit":
		return "", errBye
	case "new":
		s.messages = nil
		s.a.say("(a new conversation)")
	case "undo", "retry":
		if len(s.messages) < 2 {
			return "", errors.New("nothing has been asked yet")
		}
		last := s.messages[len(s.messages)-2].Parts[0].Text
		s.messages = s.messages[:len(s.messages)-2]
		if name == "retry" {
			return last, nil
		}
		s.a.say("(taken back: %s)", printable(last))
	case "system":
		s.system = rest
		if rest == "" {
			s.a.say("(no instructions)")
		}
	case "stats":
		s.stats = !s.stats
		s.a.say("(stats %s)", map[bool]string{true: "on", false: "off"}[s.stats])
	case "set":
		return "", s.set(rest)
	case "save":
		return "", s.save(rest)
	default:
		return "", fmt.Errorf("there is no command /%s: /help lists them; begin with // to send the text", printable(name))
	}
	return "", nil
}

// setting is one thing that /set changes.
type setting struct {
	name, wanted string
	get          func() string // "" where it is not set
	set          func(value string) error
	clear        func()
}

// number makes a setting of a field that is nil where it is not set.
func number[T cmp.Ordered](name, wanted string, field **T, parse func(string) (T, error), least, most T) setting {
	return setting{name: name, wanted: wanted, clear: func() { *field = nil },
		get: func() string {
			if *field == nil {
				return ""
			}
			return fmt.Sprint(**field)
		},
		set: func(value string) error {
			v, err := parse(value)
			if err != nil || !(v >= least && v <= most) {
				return fmt.Errorf("%s is %q: it must be %s", name, value, wanted)
			}
			*field = &v
			return nil
		}}
}

func (s *session) settings() []setting {
	decimal := func(v string) (float64, error) { return strconv.ParseFloat(v, 64) }
	o := &s.sampling
	const many = 1 << 30
	return []setting{
		number("temperature", "a number from 0 to 100", &o.Temperature, decimal, 0, 100),
		number("top_p", "a number from 0 to 1", &o.TopP, decimal, 0, 1),
		number("top_k", "a whole number from 0 (all) on", &o.TopK, strconv.Atoi, 0, many),
		number("min_p", "a number from 0 to 1", &o.MinP, decimal, 0, 1),
		number("typical_p", "a number from 0 to 1", &o.TypicalP, decimal, 0, 1),
		number("repetition_penalty", "a number from 0.01 to 100; 1 is none", &o.Repetition, decimal, 0.01, 100),
		number("frequency_penalty", "a number from -100 to 100", &o.Frequency, decimal, -100, 100),
		number("presence_penalty", "a number from -100 to 100", &o.Presence, decimal, -100, 100),
		number("seed", "a whole number from 0 on", &o.Seed, func(v string) (uint64, error) { return strconv.ParseUint(v, 10, 64) }, 0, 1<<64-1),
		number("max_tokens", "a whole number from 1 on", &s.maxTokens, strconv.Atoi, 1, many),
	}
}

// check looks at what the command line has set.
func (s *session) check() error {
	for _, o := range s.settings() {
		if v := o.get(); v != "" {
			if err := o.set(v); err != nil {
				return errInput.Because("--%s is %s: it must be %s", strings.ReplaceAll(o.name, "_", "-"), v, o.wanted)
			}
		}
	}
	return nil
}

// set does "/set", "/set NAME" and "/set NAME VALUE".
func (s *session) set(what string) error {
	name, value, _ := strings.Cut(what, " ")
	value = strings.TrimSpace(value)
	for _, o := range s.settings() {
		switch {
		case name == "":
			s.a.say("%-19s %-9s %s", o.name, cmp.Or(o.get(), "default"), o.wanted)
			continue
		case !strings.EqualFold(name, o.name):
			continue
		case value == "default":
			o.clear()
		case value != "":
			if err := o.set(value); err != nil {
				return err
			}
		}
		s.a.say("(%s: %s)", o.name, cmp.Or(o.get(), "default"))
		return nil
	}
	if name == "" {
		s.a.say("(/set NAME default gives the default back)")
		return nil
	}
	return fmt.Errorf("there is nothing called %q to set: /set shows what there is", name)
}

// save writes the conversation to a new file.
func (s *session) save(path string) error {
	if path == "" {
		return errors.New("where to? /save FILE")
	}
	messages := s.request().Messages
	if len(messages) == 0 {
		return errors.New("there is nothing to save yet")
	}
	var text []byte
	var err error
	if strings.EqualFold(filepath.Ext(path), ".md") {
		text = conversationMarkdown(messages)
	} else if text, err = conversationJSON(messages); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: choose another name", printable(path))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		s.a.say("(%d messages are in %s)", len(messages), printable(path))
	}
	return err
}

func conversationMarkdown(messages []chat.Message) []byte {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", m.Role, strings.TrimSpace(m.Parts[0].Text))
	}
	return []byte(b.String())
}

func conversationJSON(messages []chat.Message) ([]byte, error) {
	type message struct {
		Role    chat.Role `json:"role"`
		Content string    `json:"content"`
	}
	var out struct {
		Messages []message `json:"messages"`
	}
	for _, m := range messages {
		out.Messages = append(out.Messages, message{m.Role, m.Parts[0].Text})
	}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}
