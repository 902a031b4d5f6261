package cite

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/chat"
)

func documents(texts ...string) (out []chat.Document) {
	for i, t := range texts {
		out = append(out, chat.Document{ID: fmt.Sprint(i), Text: t})
	}
	return out
}

func TestStretchesThatStandInADocumentAreCited(t *testing.T) {
	docs := documents("Emperor penguins are the tallest penguins, up to 122 cm in height.", "King penguins live in Antarctica; emperor penguins too.", "企鹅生活在南极洲", "3 eggs")
	for _, c := range []struct{ text, want string }{
		{"The tallest are emperor penguins.", "[emperor penguins 0 1]"},
		{"They reach 122 cm.", "[122 0]"},
		{"There are 3 kings.", ""},
		{"They live in Antarctica.", "[live in Antarctica 1]"},
		{"Antarctica is cold.", ""}, // the first of a sentence has a capital anyway
		{"It is up to you, in all the cases.", ""},
		{"Oui: « Emperor Penguins are the tallest penguins »", "[Emperor Penguins are the tallest penguins 0]"},
		{"我知道企鹅生活在那里", "[企鹅生活在 2]"},
		{"", ""},
	} {
		var got strings.Builder
		for _, x := range newIndex(docs).find(c.text) {
			fmt.Fprintf(&got, "[%s", x.Text)
			for _, s := range x.Sources {
				got.WriteString(" " + s.ID)
			}
			got.WriteString("]")
		}
		if got.String() != c.want {
			t.Errorf("%q cites %s, want %s", c.text, got.String(), c.want)
		}
	}
}

func TestOffsetsOfCitationsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := rapid.StringOf(rapid.RuneFrom([]rune("aAbé ñ.1 \u0301国本人中\U0001F30A\n")))
		text := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{"Brest ", "wörld ", "1889 ", "bretonne "}), pool), 0, 20).Draw(t, "text")
		answer := strings.Join(text, "")
		docs := documents(rapid.SliceOfN(pool, 1, 4).Draw(t, "documents")...)
		docs = append(docs, documents(answer)...)
		last := 0
		for _, c := range newIndex(docs).find(answer) {
			if c.Start < last || c.End <= c.Start || string([]rune(answer)[c.Start:c.End]) != c.Text || len(c.Sources) == 0 {
				t.Fatalf("citation %+v of %q, after %d", c, answer, last)
			}
			last = c.End
		}
	})
}

func TestHostileDocumentsAreCitedSoon(t *testing.T) {
	docs := documents(strings.Repeat("data ", 200_000)+"end", strings.Repeat("data ", 200_000))
	if got := newIndex(docs).find(strings.Repeat("data ", 5_000)); len(got) == 0 {
		t.Error("nothing is cited")
	}
}

// played is a stream of events that are known.
type played struct {
	chat.Stream
	events []chat.Event
}

func TestCitationsComeBeforeTheEndOfTheirBlock(t *testing.T) {
	events := []chat.Event{
		{Kind: chat.Started}, {Kind: chat.BlockStart}, {Kind: chat.Delta, Text: "In Bre"}, {Kind: chat.Delta, Text: "st."}, {Kind: chat.BlockStop},
		{Kind: chat.BlockStart, Block: 1, BlockKind: chat.CallBlock, Call: &chat.Call{}}, {Kind: chat.Delta, Block: 1, Text: "Brest 1889"}, {Kind: chat.BlockStop, Block: 1}, {Kind: chat.Ended},
	}
	s := &stream{Stream: &played{events: events}, index: newIndex(documents("Brest")), blocks: map[int]*block{}}
	r, err := chat.Collect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b := r.Choices[0].Blocks
	if len(b) != 2 || len(b[0].Citations) != 1 || b[0].Citations[0].Text != "Brest" || b[0].Citations[0].Start != 3 || len(b[1].Citations) != 0 {
		t.Errorf("the blocks are %+v", b)
	}
}

func (p *played) Next(context.Context) (chat.Event, error) {
	if len(p.events) == 0 {
		return chat.Event{}, io.EOF
	}
	ev := p.events[0]
	p.events = p.events[1:]
	return ev, nil
}

func (p *played) Close() {}
