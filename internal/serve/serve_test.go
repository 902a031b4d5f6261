package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// real serves the small real models of the tests' dependencies.
func real(t testing.TB, o Options) *Server {
	t.Helper()
	entries := []Entry{
		{Name: "smollm2-135m", Aliases: []string{"small"}, Path: testdeps.Dep(t, "models/smollm2-135m.gguf")},
		{Name: "qwen2.5-coder-0.5b", Path: testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf")},
		{Name: "all-minilm-l6-v2", Path: testdeps.Dep(t, "models/all-minilm-l6-v2")},
		{Name: "broken", Path: filepath.Join(t.TempDir(), "none.gguf")},
	}
	o.List = func() ([]Entry, error) { return entries, nil }
	o.Find = func(name string) (Entry, error) {
		for _, e := range entries {
			if e.Name == name || len(e.Aliases) > 0 && e.Aliases[0] == name {
				return e, nil
			}
		}
		return Entry{}, chat.ErrModel.Because("no model %q", name)
	}
	if o.Context == 0 {
		o.Context = 2048
	}
	s := New(o)
	t.Cleanup(s.Close)
	return s
}

func ptr[T any](v T) *T { return &v }

func complete(text string, tokens int) *chat.Request {
	return &chat.Request{Raw: &chat.RawPrompt{Text: text}, MaxTokens: &tokens, Sampling: chat.Sampling{Temperature: ptr(0.0)}}
}

func whole(t testing.TB, s *Server, r *chat.Request) *chat.Response {
	t.Helper()
	st, err := s.Respond(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := chat.Collect(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(r *chat.Response, choice int) string { return r.Choices[choice].Text(chat.TextBlock) }

func TestARealModelCompletes(t *testing.T) {
	s := real(t, Options{})
	r := whole(t, s, complete("The capital of France is", 12))
	if got := text(r, 0); !strings.Contains(got, "Paris") || r.Choices[0].Finish != chat.Length {
		t.Errorf("%q, %v", got, r.Choices[0].Finish)
	}
	if r.Usage.Answer != 12 || r.Usage.Prompt < 5 || r.Model != "smollm2-135m" {
		t.Errorf("%+v", r)
	}
	again := whole(t, s, complete("The capital of France is", 12))
	if text(again, 0) != text(r, 0) || again.Usage.Cached < 4 {
		t.Errorf("%q, %d tokens known", text(again, 0), again.Usage.Cached)
	}
}

func TestStopStringsEndAnswersWhereverTheyLie(t *testing.T) {
	s := real(t, Options{})
	all := text(whole(t, s, complete("Once upon a time", 40)), 0)
	for cut := 3; cut+5 < len(all); cut += 16 {
		stop := all[cut : cut+4]
		r := complete("Once upon a time", 40)
		r.Stop = []string{"never in there", stop}
		got := whole(t, s, r)
		if want := all[:strings.Index(all, stop)]; text(got, 0) != want || got.Choices[0].StopText != stop || got.Choices[0].Finish != chat.StopString {
			t.Errorf("stop %q: %q, want %q (%v)", stop, text(got, 0), want, got.Choices[0].Finish)
		}
	}
}

func TestTokensOfEventsJoinToTheText(t *testing.T) {
	s := real(t, Options{})
	r := complete("Write é, 日本 and 🎉:", 60)
	r.Logprobs, r.N, r.Sampling = ptr(3), 3, chat.Sampling{Temperature: ptr(1.0), Seed: ptr(uint64(5))}
	out := whole(t, s, r)
	if len(out.Choices) != 3 {
		t.Fatalf("%d answers", len(out.Choices))
	}
	tokens := 0
	for i, c := range out.Choices {
		var joined strings.Builder
		for _, b := range c.Blocks {
			tokens += len(b.Tokens)
			for _, tok := range b.Tokens {
				if len(tok.Top) != 3 || tok.Logprob > 0 {
					t.Fatalf("%+v", tok)
				}
				if !tok.Special {
					joined.Write(tok.Bytes)
				}
			}
		}
		if got, want := legible(c.Text(chat.TextBlock)), legible(joined.String()); got != want {
			t.Errorf("choice %d: tokens %q, text %q", i, want, got)
		}
	}
	if tokens != out.Usage.Answer {
		t.Errorf("%d tokens, %d are counted", tokens, out.Usage.Answer)
	}
	if text(out, 0) == text(out, 1) {
		t.Error("the choices are the same")
	}
}

// legible has one mark where bytes are no text, however many they are.
func legible(s string) string {
	marks := strings.NewReplacer("\uFFFD", "\xFF").Replace(s)
	return strings.ToValidUTF8(marks, "\uFFFD")
}

func TestPromptLogprobsAndNoAnswer(t *testing.T) {
	s := real(t, Options{})
	r := complete("The capital of France is Paris", 0)
	r.PromptLogprobs = ptr(2)
	out := whole(t, s, r)
	if len(out.Prompt) != out.Usage.Prompt || len(out.Prompt[1].Top) != 2 || text(out, 0) != "" || out.Usage.Answer != 0 {
		t.Fatalf("%+v", out)
	}
	if last := out.Prompt[len(out.Prompt)-1]; string(last.Bytes) != " Paris" || last.Logprob < -2 {
		t.Errorf("%s %v", last.Bytes, last.Logprob)
	}
}

func TestErrorsNameTheirKind(t *testing.T) {
	s := real(t, Options{})
	for name, c := range map[string]struct {
		r    *chat.Request
		kind fault.Kind
		code string
	}{
		"unknown": {&chat.Request{Model: "nobody", Raw: &chat.RawPrompt{Text: "x"}}, fault.NotFound, "model_not_found"},
		"long":    {complete(strings.Repeat("word ", 3000), 5), fault.Invalid, "context_length_exceeded"},
		"answer":  {complete("x", 4000), fault.Invalid, "context_length_exceeded"},
		"encoder": {&chat.Request{Model: "all-minilm-l6-v2", Raw: &chat.RawPrompt{Text: "x"}}, fault.Invalid, "model_cannot"},
		"file":    {&chat.Request{Model: "broken", Raw: &chat.RawPrompt{Text: "x"}}, fault.NotFound, "weights_not_found"},
	} {
		_, err := s.Respond(context.Background(), c.r)
		if fault.KindOf(err) != c.kind || fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v (%v, %s)", name, err, fault.KindOf(err), fault.CodeOf(err))
		}
	}
}

// TestGuessesChangeTheSpeedAlone: with NoGuess the text is the same, and nothing was guessed.
func TestGuessesChangeTheSpeedAlone(t *testing.T) {
	list := "Repeat: one two three four five six seven. one two three four five six seven. one two three"
	var texts [2]string
	for i, off := range []bool{false, true} {
		s := real(t, Options{NoGuess: off})
		texts[i] = text(whole(t, s, complete(list, 48)), 0)
		if guessed := s.stats()["smollm2-135m"].Drafted; (guessed == 0) != off {
			t.Errorf("NoGuess %v: %d tokens were guessed", off, guessed)
		}
	}
	if texts[0] != texts[1] {
		t.Errorf("with guesses %q, without %q", texts[0], texts[1])
	}
}

func TestAnIdleModelMakesRoomAndABusyOneDoesNot(t *testing.T) {
	s := real(t, Options{Memory: 600 << 20, Context: 512, Slots: 4})
	whole(t, s, complete("x", 2))
	st, err := s.Respond(context.Background(), complete("Count to a hundred:", 300))
	if err != nil {
		t.Fatal(err)
	}
	r := complete("x", 2)
	r.Model = "qwen2.5-coder-0.5b"
	if _, err := s.Respond(context.Background(), r); !errors.Is(err, ErrMemory) {
		t.Fatal(err)
	}
	st.Close()
	whole(t, s, r)
	models, _ := s.Models(context.Background())
	if models[0].Loaded || !models[1].Loaded {
		t.Errorf("%+v", models[:2])
	}
}

func TestKeepAliveUnloadsAndPins(t *testing.T) {
	s := real(t, Options{})
	r := complete("x", 1)
	r.KeepAlive = ptr(10 * time.Millisecond)
	whole(t, s, r)
	for range 200 {
		if m, _ := s.Model(context.Background(), "small"); !m.Loaded {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if m, _ := s.Model(context.Background(), "small"); m.Loaded {
		t.Fatal("it is still loaded")
	}
	r.KeepAlive = ptr(time.Duration(-1))
	whole(t, s, r)
	if m, _ := s.Model(context.Background(), "default"); !m.Loaded || !m.Pinned {
		t.Fatalf("%+v", m)
	}
	if err := s.Load(context.Background(), "small", ptr(time.Duration(0))); err != nil {
		t.Fatal(err)
	}
	if m, _ := s.Model(context.Background(), "small"); m.Loaded {
		t.Fatal("it is still loaded")
	}
}

func TestAReaderThatLeavesFreesItsPlace(t *testing.T) {
	s := real(t, Options{Slots: 1})
	first, err := s.Respond(context.Background(), complete("Count to a thousand:", 1500))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := first.Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Errorf("a closed stream goes on: %v", err)
	}
	whole(t, s, complete("x", 1))
	if steps := s.stats()["smollm2-135m"].Steps; steps > 100 {
		t.Errorf("the answer that nobody reads has taken %d steps", steps)
	}
}

func TestAnAnswerThatWasCancelledDoesNotPassForTheWhole(t *testing.T) {
	s := real(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	st, err := s.Respond(ctx, complete("Once upon a time", 2000))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for ev := (chat.Event{}); ev.Kind != chat.Delta; {
		if ev, err = st.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for err == nil {
		var ev chat.Event
		if ev, err = st.Next(context.Background()); err == nil && (ev.Kind == chat.Finished || ev.Kind == chat.Ended) {
			t.Fatalf("it ends as if it were complete: %+v", ev)
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadyTurnsRedWhileAStepDoesNotEnd(t *testing.T) {
	long := strings.Repeat("The wind blows over the sea. ", 200)
	for model, ask := range map[string]func(*Server) error{
		"smollm2-135m": func(s *Server) error {
			st, err := s.Respond(context.Background(), complete(long, 64))
			if err == nil {
				_, err = chat.Collect(context.Background(), st)
			}
			return err
		},
		"all-minilm-l6-v2": func(s *Server) error {
			_, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "all-minilm-l6-v2", Texts: []string{long, long, long}, Truncate: true})
			return err
		},
	} {
		t.Run(model, func(t *testing.T) { readyIsRedWhile(t, model, ask) })
	}
}

func readyIsRedWhile(t *testing.T, model string, ask func(*Server) error) {
	s := real(t, Options{Stall: time.Millisecond})
	if err := s.Ready(); err != nil {
		t.Fatalf("before anything is asked: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ask(s) }()
	var red error
	for done := false; !done; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
			if err := s.Ready(); err != nil {
				red = err
			}
			time.Sleep(time.Millisecond / 2)
		}
	}
	if !errors.Is(red, ErrStalled) || fault.KindOf(red) != fault.Unavailable || !strings.Contains(red.Error(), model+" has been in one step for") {
		t.Errorf("while steps of more than a millisecond were under way: %v", red)
	}
	var err error
	for range 1000 { // the last step ends a little after its answer is read
		if err = s.Ready(); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("idle again: %v", err)
}

func TestCheckSaysWhyAModelCannotBeServed(t *testing.T) {
	s := real(t, Options{})
	for _, name := range []string{"smollm2-135m", "small", "all-minilm-l6-v2"} {
		if err := s.Check(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if models, _ := s.Models(context.Background()); models[0].Loaded {
		t.Error("Check has loaded a model")
	}
	if err := s.Check("broken"); fault.CodeOf(err) != "weights_not_found" {
		t.Error(err)
	}
	little := real(t, Options{Memory: 80 << 20})
	if err := little.Check("smollm2-135m"); fault.CodeOf(err) != "model_too_large" {
		t.Error(err)
	}
	if err := little.Check("all-minilm-l6-v2"); !errors.Is(err, ErrMemory) {
		t.Error(err)
	}
}

func TestAnswersAreTheSameAloneAndAmongOthers(t *testing.T) {
	s := real(t, Options{})
	ask := func(i int) *chat.Request {
		r := complete(fmt.Sprintf("Story number %d begins", i), 24)
		r.Sampling = chat.Sampling{Temperature: ptr(0.9), Seed: ptr(uint64(i))}
		return r
	}
	var want [9]string
	for i := range want {
		want[i] = text(whole(t, s, ask(i)), 0)
	}
	var wg sync.WaitGroup
	for i := range want {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if got := text(whole(t, s, ask(i)), 0); got != want[i] {
				t.Errorf("%d: %q among others, %q alone", i, got, want[i])
			}
		}()
	}
	wg.Wait()
}

func TestEmbeddingsOrderByMeaning(t *testing.T) {
	s := real(t, Options{})
	r, err := s.Rank(context.Background(), &chat.RankRequest{Model: "all-minilm-l6-v2", Query: "a wind of France",
		Documents: []string{"Bread is baked in an oven.", "The mistral blows down the Rhone valley.", "Two plus two is four."}})
	if err != nil || r.Scores[0].Index != 1 || len(r.Scores) != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	e, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "all-minilm-l6-v2", Texts: []string{"hello", "world"}, Dimensions: 100})
	if err != nil || len(e.Vectors) != 2 || len(e.Vectors[0]) != 100 || e.Tokens != 6 {
		t.Fatal(err)
	}
	if _, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "all-minilm-l6-v2", Texts: []string{strings.Repeat("word ", 1000)}}); fault.CodeOf(err) != "context_length_exceeded" {
		t.Error(err)
	}
}

// TestVectorsAreSentenceTransformers goes from text to vector: tokens, what is cut at the 256 tokens that the
// model's configuration allows, and the network, against the package itself (test/reference/minilm.py).
func TestVectorsAreSentenceTransformers(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/reference/minilm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		Text      string
		IDs       []int32
		Embedding []float64
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	s := real(t, Options{})
	r := &chat.EmbedRequest{Model: "all-minilm-l6-v2", Truncate: true}
	tokens := 0
	for _, w := range want {
		r.Texts = append(r.Texts, w.Text)
		tokens += len(w.IDs)
	}
	got, err := s.Embed(context.Background(), r)
	if err != nil || got.Tokens != tokens {
		t.Fatalf("%v: %d tokens were read, sentence-transformers reads %d", err, got.Tokens, tokens)
	}
	each, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: r.Model, Texts: r.Texts[:3], EachToken: true})
	if err != nil || len(each.Rows) != 3 || len(each.Rows[1]) != len(want[1].IDs) || len(each.Rows[1][5]) != 384 {
		t.Fatalf("of each token: %v", err)
	}
	least := 1.0
	for i, rows := range each.Rows { // their mean is the text's vector but for its length
		var dot, size float64
		for d := range rows[0] {
			var sum float64
			for _, row := range rows {
				sum += float64(row[d])
			}
			dot, size = dot+sum*want[i].Embedding[d], size+sum*sum
		}
		if cosine := dot / math.Sqrt(size); cosine < 0.9999 {
			t.Errorf("the mean of text %d's tokens: cosine %v", i, cosine)
		}
	}
	for i, w := range want {
		var cosine float64
		for d, x := range got.Vectors[i] {
			cosine += float64(x) * w.Embedding[d]
		}
		if least = min(least, cosine); cosine < 0.9999 {
			t.Errorf("%.40q: cosine %.7f", w.Text, cosine)
		}
	}
	t.Logf("%d texts, cosine at least %.7f", len(want), least)
	if n := len(got.Truncated); n != 3 {
		t.Errorf("%d texts were cut, sentence-transformers cuts 3", n)
	}
}

func TestADecoderGivesVectorsToo(t *testing.T) {
	s := real(t, Options{})
	r, err := s.Rank(context.Background(), &chat.RankRequest{Model: "qwen2.5-coder-0.5b", Query: "def add(a, b): return a + b",
		Documents: []string{"The history of the kings of France.", "def plus(x, y): return x + y", "How to bake bread."}})
	if err != nil || r.Scores[0].Index != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	texts := make([]string, 20)
	for i := range texts {
		texts[i] = fmt.Sprintf("text number %d", i)
	}
	all, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "qwen2.5-coder-0.5b", Texts: texts})
	if err != nil || len(all.Vectors) != 20 {
		t.Fatal(err)
	}
	one, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "qwen2.5-coder-0.5b", Texts: texts[13:14]})
	if err != nil || fmt.Sprint(one.Vectors[0]) != fmt.Sprint(all.Vectors[13]) {
		t.Fatal("a text's vector depends on its company", err)
	}
}
