package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// sseEvent is what a reader makes of an event.
type sseEvent struct{ name, id, data string }

// readSSE reads a stream as the HTML standard says (9.2.6): lines end in CR, LF or both; an event
// without its blank line is lost.
func readSSE(stream string) (out []sseEvent) {
	var now sseEvent
	var data []string
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if data != nil {
				now.data = strings.Join(data, "\n")
				out = append(out, now)
			}
			now, data = sseEvent{}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			now.name = value
		case "id":
			now.id = value
		case "data":
			data = append(data, value)
		}
	}
	return out
}

func TestEventsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Frames
		var want []sseEvent
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			e := sseEvent{name: rapid.StringMatching(`[a-z._]{0,8}`).Draw(t, "name"), id: rapid.StringMatching(`[0-9]{0,3}`).Draw(t, "id")}
			text := rapid.String().Draw(t, "text")
			if rapid.Bool().Draw(t, "json") {
				if err := f.SSE(e.name, e.id, text); err != nil {
					t.Fatal(err)
				}
				data, _ := Encode(text)
				e.data = string(data)
			} else {
				f.SSEText(e.name, e.id, text)
				e.data = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
			}
			if rapid.Bool().Draw(t, "ping") {
				f.Raw(": keep-alive\n\n")
			}
			want = append(want, e)
		}
		got := readSSE(string(f.b))
		if len(got) != len(want) {
			t.Fatalf("%d events, want %d: %q", len(got), len(want), f.b)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("got %q, want %q", got[i], want[i])
			}
		}
	})
}

func TestLinesAndArraysAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.String()).Draw(t, "values")
		var lines, array Frames
		for _, v := range values {
			if lines.Line(v) != nil || array.Item(v) != nil {
				t.Fatal("a string could not be written")
			}
		}
		array.CloseArray()
		var got []string
		if err := json.Unmarshal(array.b, &got); err != nil || len(got) != len(values) {
			t.Fatalf("%q: %v", array.b, err)
		}
		s := bufio.NewScanner(bytes.NewReader(lines.b))
		for i := range values {
			var one string
			if !s.Scan() || json.Unmarshal(s.Bytes(), &one) != nil || one != got[i] || got[i] != strings.ToValidUTF8(values[i], "\uFFFD") {
				t.Fatalf("line %d: %q, want %q", i, s.Bytes(), values[i])
			}
		}
		if s.Scan() {
			t.Fatalf("one line too many: %q", s.Bytes())
		}
	})
}

// duplicate finds a repeated key with encoding/json's own tokens.
func duplicate(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	type level struct {
		object bool
		key    bool
		seen   map[string]bool
	}
	var stack []*level
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if name, ok := token.(string); ok && top != nil && top.object && top.key {
			if top.seen[name] {
				return true
			}
			top.seen[name], top.key = true, false
			continue
		}
		if delim, ok := token.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				if top != nil {
					top.key = true
				}
				stack = append(stack, &level{delim == '{', true, map[string]bool{}})
				continue
			}
			stack = stack[:len(stack)-1]
			continue
		}
		if top != nil {
			top.key = true
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":"\ud83d\ude00"}]}}`, `{"a":"\ud83d"}`, `{"a":"\\u"}`, `{"\u0061":1,"a":2}`,
		`{"messages":[{"content":[{"text":7}]}]}`, "{\"a\":\"\xff\"}", `{"a":1}{`, `[[[[{"a":{"b":[[]]}}]]]]`, `{"":{"":[]}}`, `{"a":"\"","b":"{"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := scan(data, "")
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%q: an error of kind %v: %v", data, fault.KindOf(err), err)
		}
		if err == nil && (!json.Valid(data) || !utf8.Valid(data) || duplicate(data)) {
			t.Fatalf("%q passed", data)
		}
		if err != nil {
			return
		}
		var v struct {
			A        string            `json:"a"`
			Messages []struct{ X int } `json:"messages"`
		}
		if err := Decode("", data, &v, true); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%q: an error of kind %v: %v", data, fault.KindOf(err), err)
		}
		for i := range len(data) + 2 {
			_ = pathAt(data, "root", i)
		}
	})
}

func TestErrorsNameTheField(t *testing.T) {
	type leaf struct {
		N    int     `json:"n"`
		F    float64 `json:"f"`
		L    []leaf  `json:"l"`
		S    string  `json:"s"`
		B    *bool   `json:"b"`
		Some map[string]int
	}
	f := func(body, path string) {
		t.Helper()
		var v leaf
		err := Decode("", []byte(body), &v, false)
		var e *fault.Error
		if !errors.As(err, &e) || e.Param != path {
			t.Errorf("%s: got %v (param %q), want %q", body, err, e.Param, path)
		}
	}
	f(`{"n":"x"}`, "n")
	f(`{"s":"a","n":1.5}`, "n")
	f(`{"l":[{"n":1},{"l":[{"s":"é"},{"s":[1]}]}]}`, "l[1].l[1].s")
	f(`{"l":{"a":1}}`, "l")
	f(`{"l":[1]}`, "l[0]")
	f(`{"l":[{},{"b":"true"}]}`, "l[1].b")
	f(`{ "l" : [ {} , { "f" : {} } ] }`, "l[1].f")
	f(`{"Some":{"key":true}}`, "Some.key")
	f(`{"n":99999999999999999999}`, "n")
}

// parts answers a request with the events that are given under its model's name.
type parts map[string][]chat.Event

func (p parts) Respond(_ context.Context, r *chat.Request) (chat.Stream, error) {
	return &part{p[r.Model]}, nil
}

type part struct{ left []chat.Event }

func (p *part) Next(ctx context.Context) (chat.Event, error) {
	if len(p.left) == 0 {
		return chat.Event{}, io.EOF
	}
	ev := p.left[0]
	p.left = p.left[1:]
	return ev, ctx.Err()
}
func (p *part) Close() {}

func TestJoinedAnswersKeepTheirPlacesAndSumUsage(t *testing.T) {
	backend := parts{}
	ctx, cancel := context.WithCancel(context.Background())
	j := &joined{events: make(chan joinedEvent), cancel: cancel, left: 3}
	for i, text := range []string{"a", "b", "c"} {
		backend[text] = []chat.Event{{Kind: chat.Started, ID: text}, {Kind: chat.BlockStart}, {Kind: chat.Delta, Text: text}, {Kind: chat.BlockStop},
			{Kind: chat.Finished}, {Kind: chat.Ended, Usage: &chat.Usage{Prompt: 2, Answer: i + 1}}}
	}
	for i, text := range []string{"a", "b", "c"} {
		j.group.Go(func() { j.pump(ctx, backend, &chat.Request{Model: text}, i) })
	}
	got, err := chat.Collect(ctx, j)
	if err != nil {
		t.Fatal(err)
	}
	if got.Usage != (chat.Usage{Prompt: 6, Answer: 6}) || len(got.Choices) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []string{"a", "b", "c"} {
		if got.Choices[i].Text(chat.TextBlock) != want {
			t.Errorf("choice %d says %q, want %q", i, got.Choices[i].Text(chat.TextBlock), want)
		}
	}
}

// readAWS takes one event off a stream.
func readAWS(b []byte) (headers []string, payload, rest []byte, ok bool) {
	if len(b) < 16 {
		return nil, nil, nil, false
	}
	whole, size := int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
	if whole < 16 || whole > len(b) || size > whole-16 || crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]) ||
		crc32.ChecksumIEEE(b[:whole-4]) != binary.BigEndian.Uint32(b[whole-4:]) {
		return nil, nil, nil, false
	}
	for h := b[12 : 12+size]; len(h) > 0; {
		name := h[1 : 1+h[0]]
		h = h[1+len(name):]
		if h[0] != 7 {
			return nil, nil, nil, false
		}
		value := h[3 : 3+binary.BigEndian.Uint16(h[1:])]
		h = h[3+len(value):]
		headers = append(headers, string(name), string(value))
	}
	return headers, b[12+size : whole-4], b[whole:], true
}

func TestAWSEventsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type event struct {
			headers []string
			payload []byte
		}
		var f Frames
		var want []event
		for range rapid.IntRange(0, 4).Draw(t, "events") {
			e := event{payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload")}
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				e.headers = append(e.headers, rapid.StringMatching(`:?[a-z-]{1,20}`).Draw(t, "name"), rapid.StringN(0, 50, 200).Draw(t, "value"))
			}
			f.AWS(e.payload, e.headers...)
			want = append(want, e)
		}
		rest := f.b
		for i, e := range want {
			headers, payload, after, ok := readAWS(rest)
			if !ok || !slices.Equal(headers, e.headers) || !bytes.Equal(payload, e.payload) {
				t.Fatalf("event %d: %q %q %t, want %q %q", i, headers, payload, ok, e.headers, e.payload)
			}
			rest = after
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes too many", len(rest))
		}
	})
}

// The published example of the format: an event with one header and a short payload would be made by
// Amazon's own encoder; this is the empty event, whose checksums are known constants.
func TestEmptyAWSEventIsThePublishedOne(t *testing.T) {
	var f Frames
	f.AWS(nil)
	want := []byte{0, 0, 0, 16, 0, 0, 0, 0, 5, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff}
	if !bytes.Equal(f.b, want) {
		t.Errorf("got %x, want %x", f.b, want)
	}
}
