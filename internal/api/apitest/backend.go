package apitest

import (
	"context"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Backend plays scripts. Its vocabulary is simple: a token is a character, its id the code point.
type Backend struct {
	Scripts map[string]string          // by model; "" is for models that have none
	Choose  func(*chat.Request) string // if set, the script of a request, in place of Scripts
	List    []chat.Model               // what Models lists; its names exist. Default: one model, "m".

	Unlisted []chat.Model // further models that exist

	mu     sync.Mutex
	asked  []*chat.Request
	embeds []*chat.EmbedRequest
	ranks  []*chat.RankRequest
	live   int
}

var _ chat.Backend = (*Backend)(nil)

// Asked are the requests so far.
func (b *Backend) Asked() []*chat.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// EmbedsAsked and RanksAsked are the same for vectors and orders.
func (b *Backend) EmbedsAsked() []*chat.EmbedRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.embeds)
}

// RanksAsked are the rank requests so far.
func (b *Backend) RanksAsked() []*chat.RankRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ranks)
}

// Live is the number of answers that are not closed.
func (b *Backend) Live() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live
}

func (b *Backend) models() []chat.Model {
	if b.List != nil {
		return b.List
	}
	return []chat.Model{{Name: "m", Aliases: []string{"default"}, Loaded: true, Arch: "llama", Parameters: 1000000, Quantization: "Q4_0",
		Bytes: 2000000, Context: 4096, Created: created, Chats: true, Embeds: true, FillsMiddle: true, CallsTools: true,
		Digest: strings.Repeat("ab", 32), Licence: "apache-2.0", Tokenizer: "bpe"}}
}

// Models lists the models.
func (b *Backend) Models(context.Context) ([]chat.Model, error) {
	return slices.Clone(b.models()), nil
}

// Model gives one by name or alias, in capitals or not; "" is the first. One that has a script is there too.
func (b *Backend) Model(_ context.Context, name string) (*chat.Model, error) {
	all := b.models()
	named := func(own string) bool { return strings.EqualFold(own, name) }
	for _, m := range append(all[:len(all):len(all)], b.Unlisted...) {
		if name == "" || named(m.Name) || slices.ContainsFunc(m.Aliases, named) {
			return &m, nil
		}
	}
	if _, ok := b.Scripts[name]; ok && len(all) > 0 {
		m := all[0]
		m.Name = name
		return &m, nil
	}
	return nil, chat.ErrModel.Because("chat: there is no model %q: GET /v1/models lists those that there are", name).At("model")
}

// Load does nothing but check the name.
func (b *Backend) Load(ctx context.Context, name string, _ *chat.KeepAlive) error {
	_, err := b.Model(ctx, name)
	return err
}

// Respond plays the model's script.
func (b *Backend) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	b.mu.Lock()
	b.asked = append(b.asked, r)
	text, ok := b.Scripts[r.Model]
	b.mu.Unlock()
	if !ok {
		if _, err := b.Model(ctx, r.Model); err != nil {
			return nil, err
		}
		text = b.Scripts[""]
	}
	if b.Choose != nil {
		text = b.Choose(r)
	}
	steps, err := Script(text)
	if err != nil {
		return nil, err
	}
	if len(steps) > 0 && steps[0].Err != nil {
		return nil, steps[0].Err
	}
	b.mu.Lock()
	b.live++
	b.mu.Unlock()
	return &stream{b: b, steps: steps, model: r.Model}, nil
}

type stream struct {
	b      *Backend
	steps  []Step
	model  string
	closed sync.Once
}

func (s *stream) Next(ctx context.Context) (chat.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return chat.Event{}, err
		}
		if len(s.steps) == 0 {
			return chat.Event{}, io.EOF
		}
		st := s.steps[0]
		switch {
		case st.Panic:
			panic("the script says so")
		case st.Err != nil:
			return chat.Event{}, st.Err
		case st.Hang:
			<-ctx.Done()
			return chat.Event{}, ctx.Err()
		case st.Pause > 0:
			<-ctx.Done()
			if s.steps[0].Pause--; s.steps[0].Pause == 0 {
				s.steps = s.steps[1:]
			}
			return chat.Event{}, ctx.Err()
		case st.Wait > 0:
			began := time.Now()
			select {
			case <-ctx.Done():
				s.steps[0].Wait -= time.Since(began)
				return chat.Event{}, ctx.Err()
			case <-time.After(st.Wait):
			}
			s.steps = s.steps[1:]
			continue
		}
		s.steps = s.steps[1:]
		if st.Event.Kind == chat.Started && st.Event.Model == "" {
			st.Event.Model = s.model
		}
		return st.Event, nil
	}
}

func (s *stream) Close() {
	s.closed.Do(func() {
		s.b.mu.Lock()
		s.b.live--
		s.b.mu.Unlock()
	})
}

// Embed gives unit vectors of 8 numbers that depend on the text alone.
func (b *Backend) Embed(ctx context.Context, r *chat.EmbedRequest) (*chat.Embeddings, error) {
	b.mu.Lock()
	b.embeds = append(b.embeds, r)
	b.mu.Unlock()
	if _, err := b.Model(ctx, r.Model); err != nil {
		return nil, err
	}
	texts := r.Texts
	for _, ids := range r.Tokens {
		text, _ := b.Detokenize(ctx, r.Model, ids)
		texts = append(texts, text)
	}
	out := &chat.Embeddings{Model: r.Model}
	for _, t := range texts {
		out.Tokens += len([]rune(t))
		if r.EachToken {
			var rows [][]float32
			for _, c := range t {
				rows = append(rows, vector(string(c), 2))
			}
			out.Rows = append(out.Rows, rows)
			continue
		}
		out.Vectors = append(out.Vectors, vector(t, r.Dimensions))
	}
	return out, nil
}

func vector(text string, dimensions int) []float32 {
	if dimensions <= 0 || dimensions > 8 {
		dimensions = 8
	}
	v := make([]float32, dimensions)
	sum := 0.0
	for i := range v {
		h := fnv.New32a()
		_, _ = io.WriteString(h, text)
		_, _ = h.Write([]byte{byte(i)})
		v[i] = float32(h.Sum32()%2001)/1000 - 1
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

// Rank orders documents by the share of the query's words that they have.
func (b *Backend) Rank(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	b.mu.Lock()
	b.ranks = append(b.ranks, r)
	b.mu.Unlock()
	m, err := b.Model(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	by := chat.Embedding
	if m.Ranks() {
		by = chat.CrossEncoder
	}
	out := &chat.Ranking{Model: r.Model, By: by, Tokens: len([]rune(r.Query))}
	words := strings.Fields(strings.ToLower(r.Query))
	for i, d := range r.Documents {
		n := 0
		for _, w := range words {
			if strings.Contains(strings.ToLower(d), w) {
				n++
			}
		}
		score := float64(n) / float64(max(len(words), 1))
		out.Scores = append(out.Scores, chat.Score{Index: i, Score: score, Raw: 8*score - 4})
		out.Tokens += len([]rune(d))
	}
	out.Order(r.Top)
	return out, nil
}

// Classify says of every text which share of its characters are vowels, for the first label; the others share
// the rest.
func (b *Backend) Classify(ctx context.Context, r *chat.ClassifyRequest) (*chat.Classes, error) {
	m, err := b.Model(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	if len(m.Labels) == 0 {
		return nil, chat.ErrUnsupported.Because("apitest: %s is no classifier", r.Model).At("model")
	}
	out := &chat.Classes{Model: r.Model, Labels: m.Labels}
	for _, t := range r.Texts {
		text := t.Text
		if t.Pair != nil {
			text += *t.Pair
		}
		vowels := 0
		for _, c := range text {
			if strings.ContainsRune("aeiou", c) {
				vowels++
			}
		}
		out.Tokens += len([]rune(text))
		share := float64(vowels) / float64(max(len([]rune(text)), 1))
		logits, scores := []float64{8*share - 4}, []float64{share}
		for len(logits) < len(m.Labels) {
			logits, scores = append(logits, 0), append(scores, (1-share)/float64(len(m.Labels)-1))
		}
		out.Logits, out.Scores = append(out.Logits, logits), append(out.Scores, scores)
	}
	return out, nil
}

// Tokenize makes a token of every character; special adds a begin, id 1.
func (b *Backend) Tokenize(ctx context.Context, model, text string, special bool) ([]chat.Token, error) {
	if _, err := b.Model(ctx, model); err != nil {
		return nil, err
	}
	var out []chat.Token
	if special {
		out = append(out, chat.Token{ID: 1, Bytes: []byte("<s>"), Special: true})
	}
	for _, c := range text {
		out = append(out, chat.Token{ID: c, Bytes: []byte(string(c))})
	}
	return out, nil
}

// Detokenize is Tokenize's inverse.
func (b *Backend) Detokenize(ctx context.Context, model string, ids []int32) (string, error) {
	if _, err := b.Model(ctx, model); err != nil {
		return "", err
	}
	return string(ids), nil
}

// Count counts the characters of the messages' texts.
func (b *Backend) Count(ctx context.Context, r *chat.Request) (int, error) {
	b.mu.Lock()
	b.asked = append(b.asked, r)
	b.mu.Unlock()
	if _, err := b.Model(ctx, r.Model); err != nil {
		return 0, err
	}
	n := 0
	for _, m := range r.Messages {
		for _, p := range m.Parts {
			n += len([]rune(p.Text))
		}
	}
	if r.Raw != nil {
		n += len([]rune(r.Raw.Text)) + len(r.Raw.Tokens)
	}
	return n, nil
}
