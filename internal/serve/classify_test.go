package serve

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

const tinyFolder = "../zoo/testdata/tiny"

// judged is one text or pair of a tiny classifier's texts.json, where transformers' logits are.
type judged struct {
	Text   string
	Pair   *string
	Cut    bool
	Logits []float64
}

// tinyServer serves the tiny classifiers of package zoo.
func tinyServer(t testing.TB) *Server {
	t.Helper()
	s := New(Options{Find: func(name string) (Entry, error) { return Entry{Name: name, Path: filepath.Join(tinyFolder, name)}, nil }})
	t.Cleanup(s.Close)
	return s
}

func readJudged(t testing.TB, name string) []judged {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(tinyFolder, name, "texts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []judged
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-4*max(1, math.Abs(want)) }

func TestClassifiersSayOfTextsWhatTransformersDoes(t *testing.T) {
	s := tinyServer(t)
	for _, name := range []string{"bert-classifier", "bert-ranker", "roberta-classifier", "xlm-roberta-ranker"} {
		list := readJudged(t, name)
		r := &chat.ClassifyRequest{Model: name, Truncate: true}
		for _, j := range list {
			r.Texts = append(r.Texts, chat.Classified{Text: j.Text, Pair: j.Pair})
		}
		got, err := s.Classify(context.Background(), r)
		if err != nil {
			t.Fatal(name, err)
		}
		for i, j := range list {
			var sum float64
			for k, want := range j.Logits {
				if !near(got.Logits[i][k], want) {
					t.Errorf("%s %q: %v, transformers says %v", name, j.Text, got.Logits[i], j.Logits)
				}
				sum += got.Scores[i][k]
			}
			if len(j.Logits) > 1 && !near(sum, 1) || len(j.Logits) == 1 && !near(sum, 1/(1+math.Exp(-j.Logits[0]))) {
				t.Errorf("%s %q: scores %v", name, j.Text, got.Scores[i])
			}
			_, err := s.Classify(context.Background(), &chat.ClassifyRequest{Model: name, Texts: r.Texts[i : i+1]})
			if (fault.CodeOf(err) == errTooLong.Code) != j.Cut {
				t.Errorf("%s: text %d, which is cut %v: %v", name, i, j.Cut, err)
			}
		}
	}
}

func TestACrossEncoderRanksAndSaysSo(t *testing.T) {
	s := tinyServer(t)
	for _, name := range []string{"bert-ranker", "xlm-roberta-ranker"} {
		r, want := &chat.RankRequest{Model: name}, []float64{}
		for _, j := range readJudged(t, name) {
			if j.Pair != nil && (r.Query == "" || r.Query == j.Text) {
				r.Query, r.Documents, want = j.Text, append(r.Documents, *j.Pair), append(want, j.Logits[0])
			}
		}
		got, err := s.Rank(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got.By != chat.CrossEncoder || len(got.Scores) != 3 || got.Tokens < 20 {
			t.Errorf("%s: %+v", name, got)
		}
		for i, sc := range got.Scores {
			if !near(sc.Raw, want[sc.Index]) || !near(sc.Score, 1/(1+math.Exp(-want[sc.Index]))) || i > 0 && got.Scores[i-1].Raw < sc.Raw {
				t.Errorf("%s: place %d is %+v, transformers says %v", name, i, sc, want)
			}
		}
		r.Top = 1
		if got, err := s.Rank(context.Background(), r); err != nil || len(got.Scores) != 1 {
			t.Errorf("the best one: %+v %v", got, err)
		}
		r.Documents, r.Whole = append(r.Documents, strings.Repeat("sea ", 200)), true
		if _, err := s.Rank(context.Background(), r); fault.CodeOf(err) != errTooLong.Code {
			t.Errorf("a document that is too long: %v", err)
		}
	}
}

func TestAClassifierIsNothingElse(t *testing.T) {
	s := tinyServer(t)
	ctx := context.Background()
	_, embed := s.Embed(ctx, &chat.EmbedRequest{Model: "bert-ranker", Texts: []string{"a"}})
	_, write := s.Respond(ctx, &chat.Request{Model: "bert-ranker", Raw: &chat.RawPrompt{Text: "a"}})
	_, rank := s.Rank(ctx, &chat.RankRequest{Model: "bert-classifier", Query: "a", Documents: []string{"b"}})
	_, classify := real(t, Options{}).Classify(ctx, &chat.ClassifyRequest{Model: "all-minilm-l6-v2", Texts: []chat.Classified{{Text: "a"}}})
	for what, err := range map[string]error{"vectors": embed, "an answer": write, "an order": rank, "classes": classify} {
		if fault.CodeOf(err) != ErrKind.Code {
			t.Errorf("%s: %v", what, err)
		}
	}
}
