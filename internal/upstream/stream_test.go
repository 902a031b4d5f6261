package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

// tale is what events say, a word each.
func tale(events []chat.Event) string {
	var out []string
	for _, ev := range events {
		at := fmt.Sprintf("%d.%d", ev.Choice, ev.Block)
		switch ev.Kind {
		case chat.Started:
			out = append(out, "start")
		case chat.BlockStart:
			s := fmt.Sprintf("%s:%d(", at, ev.BlockKind)
			if ev.Call != nil {
				s += ev.Call.ID + " " + ev.Call.Name
			}
			out = append(out, s)
		case chat.Delta:
			out = append(out, ev.Text)
		case chat.BlockStop:
			out = append(out, ")")
		case chat.Finished:
			out = append(out, fmt.Sprintf("%d!%d%s", ev.Choice, ev.Finish, ev.StopText))
		case chat.Ended:
			out = append(out, "end")
		}
	}
	return strings.Join(out, " ")
}

func delta(i int, fields string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"delta\":{%s}}]}\n\n", i, fields)
}

func finish(i int, reason string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"delta\":{},\"finish_reason\":%q}]}\n\n", i, reason)
}

const done = "data: [DONE]\n\n"

func call(i int, fields string) string {
	return delta(0, fmt.Sprintf(`"tool_calls":[{"index":%d,%s}]`, i, fields))
}

func TestStreamsOfEveryServerBecomeEvents(t *testing.T) {
	t1, think, calls := int(chat.TextBlock), int(chat.ThinkingBlock), int(chat.CallBlock)
	for name, c := range map[string]struct {
		n      int
		events []string
		want   string
	}{
		"text":             {1, []string{delta(0, `"role":"assistant","content":""`), text("He"), ": ping\n\n", text("llo"), last}, fmt.Sprintf("start 0.0:%d( He llo ) 0!0 end", t1)},
		"events in pieces": {1, strings.SplitAfter(text("Hé 🌊")+last, ""), fmt.Sprintf("start 0.0:%d( Hé 🌊 ) 0!0 end", t1)},
		"carriage returns": {1, []string{strings.ReplaceAll(text("a")+last, "\n", "\r\n")}, fmt.Sprintf("start 0.0:%d( a ) 0!0 end", t1)},
		"no space":         {1, []string{strings.ReplaceAll(text("a")+last, "data: ", "data:")}, fmt.Sprintf("start 0.0:%d( a ) 0!0 end", t1)},
		"no [DONE]":        {1, []string{text("a"), finish(0, "length")}, fmt.Sprintf("start 0.0:%d( a ) 0!%d end", t1, chat.Length)},
		"nothing":          {1, []string{finish(0, "content_filter"), done}, fmt.Sprintf("start 0!%d end", chat.Filtered)},
		"reasoning": {1, []string{delta(0, `"reasoning_content":"hm"`), delta(0, `"reasoning":"m"`), text("so"), last},
			fmt.Sprintf("start 0.0:%d( hm m ) 0.1:%d( so ) 0!0 end", think, t1)},
		"two choices": {2, []string{delta(1, `"content":"B"`), delta(0, `"content":"A"`), delta(1, `"content":"b"`), finish(1, "stop"), finish(0, "length"), done},
			fmt.Sprintf("start 1.0:%d( B 0.0:%d( A b ) 1!0 ) 0!%d end", t1, t1, chat.Length)},
		"calls in pieces": {1, []string{call(0, `"id":"c1","function":{"name":"f","arguments":""}`), call(0, `"function":{"arguments":"{\"a\""}`), call(0, `"function":{"arguments":":1}"}`),
			call(1, `"id":"c2","function":{"name":"f","arguments":"{}"}`), finish(0, "tool_calls"), done},
			fmt.Sprintf(`start 0.0:%d(c1 f {"a" :1} ) 0.1:%d(c2 f {} ) 0!%d end`, calls, calls, chat.ToolCall)},
		"calls whose id and name come with each piece": {1, []string{call(0, `"id":"c1","function":{"name":"f","arguments":"{\"a\""}`), call(0, `"id":"c1","function":{"name":"f","arguments":":1}"}`), finish(0, "tool_calls"), done},
			fmt.Sprintf(`start 0.0:%d(c1 f {"a" :1} ) 0!%d end`, calls, chat.ToolCall)},
		"calls that all have the index 0": {1, []string{call(0, `"id":"c1","function":{"name":"f","arguments":"{}"}`), call(0, `"id":"c2","function":{"name":"g","arguments":"{}"}`), finish(0, "tool_calls"), done},
			fmt.Sprintf(`start 0.0:%d(c1 f {} ) 0.1:%d(c2 g {} ) 0!%d end`, calls, calls, chat.ToolCall)},
		"a stop string": {1, []string{text("a"), "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"stop_reason\":\"END\"}]}\n\n", done},
			fmt.Sprintf("start 0.0:%d( a ) 0!%dEND end", t1, chat.StopString)},
		"completions":      {1, []string{"data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"length\"}]}\n\n", done}, fmt.Sprintf("start 0.0:%d( a ) 0!%d end", t1, chat.Length)},
		"an unknown place": {1, []string{delta(7, `"content":"x"`), text("a"), last}, fmt.Sprintf("start 0.0:%d( a ) 0!0 end", t1)},
	} {
		r := hello("hi")
		r.N = c.n
		events, err := heard(t, behind(t, newPeer(t, says(c.events...)).URL), r)
		if got := tale(events); err != nil || got != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
}

func TestUsageAndProbabilitiesComeThrough(t *testing.T) {
	r := hello("hi")
	r.Logprobs = pointer(1)
	events, err := heard(t, behind(t, newPeer(t, says(
		`data: {"choices":[{"index":0,"delta":{"content":"é"},"logprobs":{"content":[{"token":"\\xc3","bytes":[195],"logprob":-0.5,"top_logprobs":[{"token":"a","logprob":-1}]},{"token":"\\xa9","bytes":[169],"logprob":-0.25}]}}]}`+"\n\n", last)).URL), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		switch {
		case ev.Kind == chat.Delta:
			k := ev.Tokens
			if len(k) != 2 || string(k[0].Bytes)+string(k[1].Bytes) != "é" || k[0].Logprob != -0.5 || string(k[0].Top[0].Bytes) != "a" || k[0].Top[0].Logprob != -1 {
				t.Errorf("%+v", k)
			}
		case ev.Kind == chat.Ended:
			if u := *ev.Usage; u.Prompt != 5 || u.Answer != 2 || u.Cached != 3 {
				t.Errorf("%+v", u)
			}
		}
	}
}

func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		word   string
	}{
		"in the middle": {[]string{text("Hel")}, "broke off"},
		"in an event":   {[]string{text("Hel"), `data: {"choi`}, "no JSON"},
		"an error":      {[]string{text("Hel"), `data: {"error":{"message":"out of memory","code":500}}` + "\n\n", done}, "out of memory"},
		"a bare error":  {[]string{text("Hel"), `data: {"error":"out of memory"}` + "\n\n", done}, "out of memory"},
		"vLLM's error":  {[]string{text("Hel"), `data: {"object":"error","message":"out of memory"}` + "\n\n", done}, "out of memory"},
		"no reason":     {[]string{text("Hel"), done}, "without saying why"},
		"no JSON":       {[]string{text("Hel"), "data: oops\n\n", done}, "no JSON"},
	} {
		s := behind(t, newPeer(t, says(c.events...)).URL)
		events, err := heard(t, s, hello("hi"))
		if told(events) != "Hel" || !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %q %v", name, told(events), err)
		}
		until(t, "rest", func() bool { return idle(s) })
	}
	hangsUp := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		says(text("Hel"))(w, r)
		panic(http.ErrAbortHandler)
	})
	if events, err := heard(t, behind(t, hangsUp.URL), hello("hi")); told(events) != "Hel" || !errors.Is(err, ErrAnswer) {
		t.Errorf("a server that hangs up: %q %v", told(events), err)
	}
}
