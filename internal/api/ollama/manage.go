package ollama

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// nameBody names a model, in one of the two ways that programs do.
type nameBody struct {
	Model string `json:"model"`
	Name  string `json:"name"`
}

func (b *nameBody) read() (asked, name string, err error) {
	asked = b.Model
	if asked == "" {
		asked = b.Name
	}
	name, err = modelName("model", asked)
	return asked, name, err
}

type pullBody struct {
	nameBody
	Stream *bool `json:"stream"`
}

type copyBody struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// status is a line about a pull.
type status struct {
	Status    string `json:"status"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// stored refuses where models cannot be changed.
func (s *surface) stored() error {
	if s.store == nil {
		return unsupported("", "this server's models cannot be changed through its API: use galerne pull and galerne rm")
	}
	return nil
}

// copy answers POST /api/copy.
func (s *surface) copy(c *api.Call) error {
	var b copyBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	if err := s.stored(); err != nil {
		return err
	}
	from, err := modelName("source", b.Source)
	if err != nil {
		return err
	}
	to, err := modelName("destination", b.Destination)
	if err != nil {
		return err
	}
	if err := s.mayUse(c, from); err != nil {
		return about(b.Source, err)
	}
	if err := mayMake(c, to); err != nil {
		return err
	}
	if err := s.store.Copy(c.R.Context(), from, to); err != nil {
		return about(b.Source, err)
	}
	c.W.WriteHeader(http.StatusOK)
	return nil
}

// mayUse reports an error where the model does not exist or the key is not for it.
func (s *surface) mayUse(c *api.Call, name string) error {
	_, err := c.Backend.Model(c.R.Context(), name)
	return err
}

// mayMake reports an error where the key would not be for a model that is not there yet.
func mayMake(c *api.Call, name string) error {
	if c.Key != nil && !c.Key.MayUse(name) {
		return api.ErrScope.Because("ollama: this key is not for model %q", name).At("model")
	}
	return nil
}

// delete answers DELETE /api/delete, whose body names the model.
func (s *surface) delete(c *api.Call) error {
	var b nameBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	asked, name, err := b.read()
	if err != nil {
		return err
	}
	if err := s.stored(); err != nil {
		return err
	}
	if err := s.mayUse(c, name); err != nil {
		return about(asked, err)
	}
	unload := chat.KeepAlive(0)
	if err := c.Backend.Load(c.R.Context(), name, &unload); err != nil {
		return about(asked, err)
	}
	if err := s.store.Delete(c.R.Context(), name); err != nil {
		return about(asked, err)
	}
	c.W.WriteHeader(http.StatusOK)
	return nil
}

// pull answers POST /api/pull: whole, or with a line now and then. It ends with the caller.
func (s *surface) pull(c *api.Call) error {
	var b pullBody
	if err := c.Decode(&b, pullFields()); err != nil {
		return err
	}
	_, name, err := b.read()
	if err != nil {
		return err
	}
	if err := s.stored(); err != nil {
		return err
	}
	if err := mayMake(c, name); err != nil {
		return err
	}
	if b.Stream != nil && !*b.Stream {
		if err := s.store.Pull(c.R.Context(), name, func(Progress) {}); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, status{Status: "success"})
	}
	return s.streamPull(c, name)
}

// silence is the longest time without a line.
const silence = 10 * time.Second

func (s *surface) streamPull(c *api.Call, name string) error {
	ctx, cancel := context.WithCancel(c.R.Context())
	defer cancel()
	heard, ended := make(chan Progress), make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				ended <- errPull
			}
		}()
		ended <- s.store.Pull(ctx, name, func(p Progress) {
			select {
			case heard <- p:
			case <-ctx.Done():
			}
		})
	}()
	last := status{Status: "pulling manifest"}
	w := &lineWriter{c: c}
	again := time.NewTicker(silence)
	defer again.Stop()
	for {
		var err error
		select {
		case p := <-heard:
			last = status{p.Status, p.Total, p.Done}
			err = w.write(last)
		case <-again.C: // which keeps the connection alive
			err = w.write(last)
		case err = <-ended:
			switch {
			case err != nil && !w.begun:
				return err
			case err != nil:
				return w.write(errorLine{api.FailureOf(err).Message})
			}
			return w.write(status{Status: "success"})
		}
		if err != nil { // nobody reads
			cancel()
			<-ended
			return nil
		}
	}
}

var errPull = errors.New("ollama: a pull panicked")

// lineWriter sends lines as they come.
type lineWriter struct {
	c     *api.Call
	begun bool
}

func (w *lineWriter) write(v any) error {
	data, err := api.Encode(v)
	if err != nil {
		return err
	}
	if !w.begun {
		w.begun = true
		w.c.W.Header().Set("Content-Type", "application/x-ndjson")
	}
	if _, err := w.c.W.Write(append(data, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(w.c.W).Flush()
}
