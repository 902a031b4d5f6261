// Package galerne answers: how does a Go program run an open-weight language model in itself? It opens
// a model that is on this machine and gives answers, completions, embeddings and tokens:
//
//	model, err := galerne.Open("smollm2-135m", galerne.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer model.Close()
//	answer, err := model.Chat(ctx, galerne.Request{Messages: []galerne.Message{galerne.User("What is a galerne?")}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	fmt.Println(answer.Text)
//
// [Model.Chat] waits for the whole answer, [Model.Stream] gives it as it is written; both give the same
// answer. Models come onto the machine with the command "galerne pull", or as a .gguf file or a folder
// of safetensors. Nothing is fetched, and no environment variable is read.
//
// What is exported here stays as it is within a major version.
package galerne

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/serve"
)

// Options of Open; the zero value is usable.
type Options struct {
	// Home is the data folder where pulled models are; a program that honours GALERNE_HOME passes it.
	// Default: where the galerne command keeps them on this system without that variable.
	Home string
	// Catalogues are files of names, merged over the built-in catalogue.
	Catalogues []string
	// Context is the longest sequence, prompt and answer together, in tokens. Default: the model's own,
	// or what fits into Memory.
	Context int
	// Memory is what the model may take, in bytes. Default: nine tenths of what is free.
	Memory int64
	// Threads that compute. Default: one a CPU.
	Threads int
	// Parallel is how many answers are written at once; more requests wait. Default 64.
	Parallel int
	// Log is told what happens. Default: nothing is logged.
	Log *slog.Logger
}

// Model is a model in memory. Its methods may be called from any goroutine.
type Model struct {
	server *serve.Server
	about  chat.Model
}

// Open loads a model by its path (a .gguf file or a folder of safetensors), by its catalogue name, or by
// the name or source that it was pulled under. "default" is the catalogue's default model.
func Open(model string, o Options) (*Model, error) {
	home := o.Home
	if home == "" {
		home = defaultHome()
	}
	h, err := hub.Open(hub.Options{Home: home, Catalogues: o.Catalogues})
	if err != nil {
		return nil, err
	}
	r, err := h.Resolve(model)
	if err != nil {
		return nil, err
	}
	entry := serve.Entry{Name: r.Name, Path: r.Path, Sampling: h.Catalogue().Sampling(r.Name)}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Model{server: serve.New(serve.Options{
		Find:   func(string) (serve.Entry, error) { return entry, nil },
		List:   func() ([]serve.Entry, error) { return []serve.Entry{entry}, nil },
		Memory: o.Memory, Context: o.Context, Threads: o.Threads, Slots: o.Parallel, Log: log})}
	ctx := context.Background()
	if err := m.server.Load(ctx, "", nil); err != nil {
		m.server.Close()
		return nil, err
	}
	about, err := m.server.Model(ctx, "")
	if err != nil {
		m.server.Close()
		return nil, err
	}
	m.about = *about
	return m, nil
}

// defaultHome is the galerne command's data folder where no variable says otherwise.
func defaultHome() string {
	switch runtime.GOOS {
	case "windows":
		if dir, err := os.UserCacheDir(); err == nil { // %LocalAppData%
			return filepath.Join(dir, "galerne")
		}
	case "darwin":
		if dir, err := os.UserConfigDir(); err == nil { // ~/Library/Application Support
			return filepath.Join(dir, "galerne")
		}
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, ".local", "share", "galerne")
}

// Close ends all answers and gives the memory back.
func (m *Model) Close() { m.server.Close() }

// Name is the model's name: of the catalogue, or of its file.
func (m *Model) Name() string { return m.about.Name }

// Context is the longest sequence, prompt and answer together, in tokens.
func (m *Model) Context() int { return m.about.Context }

// Embed gives one vector of length 1 for each text. Models that are made for it (all-minilm-l6-v2) do it
// best. A text that is longer than the model reads is an error.
func (m *Model) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	e, err := m.server.Embed(ctx, &chat.EmbedRequest{Texts: texts})
	if err != nil {
		return nil, err
	}
	return e.Vectors, nil
}

// Token is one of a model's tokens.
type Token struct {
	ID      int32
	Bytes   []byte // what it decodes to; may be part of a character
	Special bool   // it is no text: begin, end, roles and the like
}

// Tokens gives a text's tokens, without those that the model puts around a text.
func (m *Model) Tokens(text string) ([]Token, error) {
	list, err := m.server.Tokenize(context.Background(), "", text, false)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, len(list))
	for i, t := range list {
		tokens[i] = Token{t.ID, t.Bytes, t.Special}
	}
	return tokens, nil
}

// ErrorCode is the stable code of an error that this package gave: model_unknown, model_not_pulled,
// context_length_exceeded, invalid_sampling and the like; "internal_error" for any other.
func ErrorCode(err error) string { return fault.CodeOf(err) }
