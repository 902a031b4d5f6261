package moderate

import (
	"math"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

// says makes answers of one token, whose alternatives have these log-probabilities.
func says(text string, top map[string]float32) *chat.Response {
	token := chat.Token{Bytes: []byte(text), Logprob: float32(math.Inf(-1))}
	for word, p := range top {
		token.Top = append(token.Top, chat.Token{Bytes: []byte(word), Logprob: p})
	}
	return &chat.Response{Model: "m", Choices: []chat.Choice{{Blocks: []chat.Block{{Kind: chat.TextBlock, Text: text, Tokens: []chat.Token{token}}}}}}
}

// asked answers what is known as it is, and finds violence where there is a storm.
func asked(t *testing.T, all *[]string) func(rs []*chat.Request) ([]*chat.Response, error) {
	return func(rs []*chat.Request) ([]*chat.Response, error) {
		var out []*chat.Response
		for _, r := range rs {
			q := r.Messages[1].Parts[0].Text
			if r.Model != "m" || r.Format.Kind != chat.OneOf {
				t.Errorf("asked %+v", r)
			}
			*all = append(*all, q)
			likely := map[string]float32{"no": -0.1, " Yes": -3}
			if strings.Contains(q, "kill") && strings.Contains(q, "violence") || strings.Contains(q, "idiot") && strings.Contains(q, "insult") || strings.Contains(q, "storm") {
				likely = map[string]float32{"yes": float32(math.Log(0.6)), "no": float32(math.Log(0.2)), "maybe": -0.1}
			}
			out = append(out, says("no", likely))
		}
		return out, nil
	}
}

func TestTheScoreIsTheProbabilityOfYesAgainstNo(t *testing.T) {
	var all []string
	scores, model, err := Judge(asked(t, &all), "m", []Text{{Text: "a storm"}, {Before: "user: and now?", Text: "calm"}}, []Category{{"a", "be A"}, {"b", "be B"}})
	if err != nil || model != "m" || len(scores) != 2 {
		t.Fatal(scores, model, err)
	}
	low := math.Exp(-3) / (math.Exp(-3) + math.Exp(-0.1))
	for i, want := range []float64{0.75, low} {
		for j := range 2 {
			if math.Abs(scores[i][j]-want) > 1e-6 {
				t.Errorf("text %d, category %d: %v, want %v", i, j, scores[i][j], want)
			}
		}
	}
	if last := all[len(all)-1]; !strings.Contains(last, "user: and now?") || !strings.Contains(last, "calm") || !strings.Contains(last, "be B?") {
		t.Errorf("asked %q", last)
	}
	if len(all) != len(controls())+4 {
		t.Errorf("%d questions", len(all))
	}
}

func TestAModelThatIsWrongAboutWhatIsKnownIsRefused(t *testing.T) {
	for _, word := range []string{"yes", "no"} {
		_, _, err := Judge(func(rs []*chat.Request) ([]*chat.Response, error) {
			var out []*chat.Response
			for range rs {
				out = append(out, says(word, nil))
			}
			return out, nil
		}, "m", []Text{{Text: "a"}}, []Category{{"a", "be A"}})
		if err == nil || !strings.Contains(err.Error(), "larger model") {
			t.Errorf("a model that always says %s: %v", word, err)
		}
	}
}
