package chat_test

import (
	"context"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

// TestAStarStandsForSlashesToo: many programs ask for org/model.
func TestAStarStandsForSlashesToo(t *testing.T) {
	a := chat.Aliases{Backend: &apitest.Backend{List: []chat.Model{{Name: "default"}, {Name: "m"}}}, Names: []chat.Alias{{Pattern: "openai/gpt-4?", Model: "default"}, {Pattern: "*", Model: "m"}}}
	for name, want := range map[string]string{"openai/GPT-4o": "default", "openai/gpt-5": "m", "a/b/c": "m", "x": "m", "default": "default"} {
		if m, err := a.Model(context.Background(), name); err != nil || m.Name != want {
			t.Errorf("%s: %v %v, want %s", name, m, err, want)
		}
	}
}

// TestAModelIsToldWithTheNamesThatMeanIt: one that the backend has itself means another model, one that is an alias of an alias the same.
func TestAModelIsToldWithTheNamesThatMeanIt(t *testing.T) {
	a := chat.Aliases{Backend: &apitest.Backend{List: []chat.Model{{Name: "a", Aliases: []string{"tiny"}}, {Name: "b"}}},
		Names: []chat.Alias{{Pattern: "mini", Model: "TINY"}, {Pattern: "a", Model: "b"}, {Pattern: "gpt-*", Model: "b"}, {Pattern: "gpt-a", Model: "a"}}}
	all, err := a.Models(context.Background())
	if err != nil || len(all) != 2 || !slices.Equal(all[0].Aliases, []string{"tiny", "mini"}) || len(all[1].Aliases) != 0 {
		t.Errorf("%+v %v", all, err)
	}
	for _, name := range []string{"a", "tiny", "mini"} {
		if m, err := a.Model(context.Background(), name); err != nil || m.Name != "a" || !slices.Equal(m.Aliases, all[0].Aliases) {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}

// TestWhatIsNoPatternMatchesNothing: a pattern is checked where it is written down by what reads it later, on every system.
func TestWhatIsNoPatternMatchesNothing(t *testing.T) {
	for text, want := range map[string]bool{"qwen*": true, "org/[ab]?": true, `a\*`: true, "": true, `qwen\`: false, "[": false, "[]": false, "a/[b-": false, "x[": false} {
		if chat.IsPattern(text) != want || !want && chat.Matches(text, text) {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
