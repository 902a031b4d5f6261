// Package apitest answers, in tests: what does a surface make of these events? It has a backend that
// plays scripts, and a runner of text files that hold a request, the events, and the exact bytes of
// the answer. Tests only.
package apitest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// Step is one thing that happens while a script is played: an event, an error, or a wait before
// whatever comes next.
type Step struct {
	Event chat.Event
	Err   error
	Wait  time.Duration
	Hang  bool // until the caller leaves
	Pause int  // waits that the caller gives up; two of the server's make a keep-alive
	Panic bool
}

// created is when every script's answer was made.
var created = time.Unix(1700000000, 0).UTC()

// Script reads the steps of an answer, one a line; # begins a comment line. CHOICE: may come first
// on lines of one answer (default 0:). Blocks begin and stop by themselves.
//
//	prompt (1 "Say" -0.5) (2 " hi" -1)      the prompt's tokens, for start
//	start id=1 model=m prompt=5 cached=2
//	think "text"   text "text"   refuse "text"
//	text "Hello" (42 "Hel" -0.25; 43 "Hi" -1.5) (44 "lo" -0.125)   with tokens; alternatives after ;
//	call "id" "name"   args "{\"a\":1}"
//	cite 0 5 "Hello" "doc-1" "doc-2"
//	finish stop | stop_string "END" | length | full | tool_call | filtered | refused
//	end prompt=5 cached=2 answer=3 reasoning=1
//	fail busy queue_full 2s "engine: the queue is full"
//	wait 50ms   hang   panic   pause 2 (two waits given up: one keep-alive, on however slow a machine)
func Script(text string) ([]Step, error) {
	p := &player{open: map[int]chat.BlockKind{}, blocks: map[int]int{}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("apitest: line %d of the script, %q: %w", i+1, line, err)
		}
	}
	return p.steps, nil
}

type player struct {
	steps  []Step
	open   map[int]chat.BlockKind // of choices that have an open block
	blocks map[int]int            // begun so far
	prompt []chat.Token
}

func (p *player) event(ev chat.Event) { p.steps = append(p.steps, Step{Event: ev}) }

func (p *player) line(line string) error {
	choice := 0
	if head, rest, ok := strings.Cut(line, ":"); ok {
		if n, err := strconv.Atoi(head); err == nil {
			choice, line = n, strings.TrimSpace(rest)
		}
	}
	verb, rest, _ := strings.Cut(line, " ")
	words, tokens, err := read(rest)
	if err != nil {
		return err
	}
	switch verb {
	case "prompt":
		p.prompt = tokens
	case "start":
		ev := chat.Event{Kind: chat.Started, ID: "1", Created: created, Prompt: p.prompt, Usage: &chat.Usage{}}
		p.event(ev)
		return assign(&p.steps[len(p.steps)-1].Event, words)
	case "end":
		p.event(chat.Event{Kind: chat.Ended, Usage: &chat.Usage{}, Timing: &chat.Timing{Load: 1e6, Queue: 2e6, Prompt: 3e6, Answer: 4e6}})
		return assign(&p.steps[len(p.steps)-1].Event, words)
	case "think", "text", "refuse", "args", "call", "cite", "finish":
		return p.part(choice, verb, words, tokens)
	case "fail", "wait", "hang", "panic", "pause":
		return p.trouble(verb, words)
	default:
		return fmt.Errorf("unknown step %q", verb)
	}
	return nil
}

// part is a step of one choice.
func (p *player) part(choice int, verb string, words []string, tokens []chat.Token) error {
	kinds := map[string]chat.BlockKind{"think": chat.ThinkingBlock, "text": chat.TextBlock, "refuse": chat.RefusalBlock, "args": chat.CallBlock}
	if len(words) == 0 {
		return fmt.Errorf("%s needs an argument", verb)
	}
	switch verb {
	case "call":
		if len(words) != 2 {
			return fmt.Errorf("call needs an id and a name")
		}
		p.stop(choice)
		p.begin(choice, chat.CallBlock, &chat.Call{ID: words[0], Name: words[1]})
	case "cite":
		return p.cite(choice, words)
	case "finish":
		return p.finish(choice, words)
	default:
		kind := kinds[verb]
		if now, open := p.open[choice]; !open || now != kind {
			p.stop(choice)
			p.begin(choice, kind, nil)
		}
		p.event(chat.Event{Kind: chat.Delta, Choice: choice, Block: p.blocks[choice] - 1, BlockKind: kind, Text: words[0], Tokens: tokens})
	}
	return nil
}

func (p *player) begin(choice int, kind chat.BlockKind, call *chat.Call) {
	p.event(chat.Event{Kind: chat.BlockStart, Choice: choice, Block: p.blocks[choice], BlockKind: kind, Call: call})
	p.open[choice] = kind
	p.blocks[choice]++
}

func (p *player) stop(choice int) {
	if kind, open := p.open[choice]; open {
		p.event(chat.Event{Kind: chat.BlockStop, Choice: choice, Block: p.blocks[choice] - 1, BlockKind: kind})
		delete(p.open, choice)
	}
}

func (p *player) cite(choice int, words []string) error {
	if len(words) < 4 {
		return fmt.Errorf("cite needs start, end, text and sources")
	}
	start, err1 := strconv.Atoi(words[0])
	end, err2 := strconv.Atoi(words[1])
	if err1 != nil || err2 != nil {
		return fmt.Errorf("cite needs numbers")
	}
	c := &chat.Citation{Start: start, End: end, Text: words[2]}
	for _, id := range words[3:] {
		c.Sources = append(c.Sources, chat.Document{ID: id, Title: "title of " + id, Text: "text of " + id})
	}
	p.event(chat.Event{Kind: chat.Cited, Choice: choice, Block: p.blocks[choice] - 1, Citation: c})
	return nil
}

func (p *player) finish(choice int, words []string) error {
	p.stop(choice)
	for f := chat.Stop; f <= chat.Refused; f++ {
		if f.String() == words[0] {
			ev := chat.Event{Kind: chat.Finished, Choice: choice, Finish: f}
			if len(words) > 1 {
				ev.StopText = words[1]
			}
			p.event(ev)
			return nil
		}
	}
	return fmt.Errorf("unknown finish %q", words[0])
}

func (p *player) trouble(verb string, words []string) error {
	switch verb {
	case "hang":
		p.steps = append(p.steps, Step{Hang: true})
	case "panic":
		p.steps = append(p.steps, Step{Panic: true})
	case "pause":
		n, err := strconv.Atoi(strings.Join(words, " "))
		p.steps = append(p.steps, Step{Pause: n})
		return err
	case "wait":
		if len(words) != 1 {
			return fmt.Errorf("wait needs a duration")
		}
		d, err := time.ParseDuration(words[0])
		p.steps = append(p.steps, Step{Wait: d})
		return err
	case "fail":
		if len(words) != 4 {
			return fmt.Errorf("fail needs a kind, a code, a duration and a text")
		}
		for k := fault.Internal; k <= fault.Unavailable; k++ {
			if k.String() == words[0] {
				d, err := time.ParseDuration(words[2])
				p.steps = append(p.steps, Step{Err: fault.New(k, words[1], words[3]).Because("%s", words[3]).After(d)})
				return err
			}
		}
		return fmt.Errorf("unknown kind %q", words[0])
	}
	return nil
}

// assign sets key=value words on a Started or Ended event.
func assign(ev *chat.Event, words []string) error {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if name == "id" {
			ev.ID = value
			continue
		}
		if name == "model" {
			ev.Model = value
			continue
		}
		n, err := strconv.Atoi(value)
		field := map[string]*int{"prompt": &ev.Usage.Prompt, "cached": &ev.Usage.Cached, "answer": &ev.Usage.Answer, "reasoning": &ev.Usage.Reasoning}[name]
		if err != nil || field == nil {
			return fmt.Errorf("cannot use %q", w)
		}
		*field = n
	}
	return nil
}

// read splits a line into words, quoted where they have spaces, and tokens in parentheses.
func read(rest string) (words []string, tokens []chat.Token, err error) {
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		switch rest[0] {
		case '"':
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, nil, err
			}
			text, _ := strconv.Unquote(q)
			words, rest = append(words, text), rest[len(q):]
		case '(':
			var t chat.Token
			if t, rest, err = token(rest[1:]); err != nil {
				return nil, nil, err
			}
			tokens = append(tokens, t)
		default:
			word, after, _ := strings.Cut(rest, " ")
			words, rest = append(words, word), after
		}
	}
	return words, tokens, nil
}

// token reads ID "BYTES" LOGPROB, then alternatives after semicolons, up to the parenthesis.
func token(rest string) (t chat.Token, after string, err error) {
	for i := 0; ; i++ {
		var one chat.Token
		rest = strings.TrimSpace(rest)
		if _, err := fmt.Sscanf(rest, "%d", &one.ID); err != nil {
			return t, "", err
		}
		_, rest, _ = strings.Cut(rest, " ")
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return t, "", err
		}
		text, _ := strconv.Unquote(q)
		one.Bytes = []byte(text)
		rest = rest[len(q):]
		end := strings.IndexAny(rest, ";)")
		if end < 0 {
			return t, "", fmt.Errorf("a token is not closed")
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[:end]), 32)
		if err != nil {
			return t, "", err
		}
		one.Logprob = float32(v)
		if i == 0 {
			t = one
		} else {
			t.Top = append(t.Top, one)
		}
		closed := rest[end] == ')'
		if rest = rest[end+1:]; closed {
			return t, rest, nil
		}
	}
}
