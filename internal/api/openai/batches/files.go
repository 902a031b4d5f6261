package batches

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/page"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const (
	maxField = 1 << 10          // bytes of a form's field that is no file
	maxParts = 20               // of a form
	idle     = 30 * time.Second // how long an upload or a download may stand still
)

// uploadForm is what a form has, for docs/apis.md.
type uploadForm struct {
	File    []byte `json:"file"`
	Purpose string `json:"purpose"`
	Anchor  string `json:"expires_after[anchor]"`
	Seconds string `json:"expires_after[seconds]"`
}

func purposes() []string {
	return []string{"assistants", "batch", "evals", "fine-tune", "user_data", "vision"}
}

func fileID(id string) string { return strings.TrimPrefix(id, "file-") }

// upload answers POST /v1/files. The file goes to the disk while it comes, whatever its place in the
// form.
func (h *handler) upload(c *api.Call) error {
	kind, params, err := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return api.ErrMediaType.Because("openai: a file is sent as multipart/form-data, not as %q", c.R.Header.Get("Content-Type"))
	}
	control := http.NewResponseController(c.W)
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	f := &form{texts: map[string]string{}}
	defer f.discard()
	parts := multipart.NewReader(&steady{c.R.Body, control.SetReadDeadline}, params["boundary"])
	for n := 0; ; n++ {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && n == maxParts {
			err = openai.Invalid("", "the form has more than %d parts", maxParts)
		}
		if err == nil {
			err = f.read(h.s, p)
		}
		if err != nil {
			return broken(err)
		}
	}
	file := jobs.File{Owner: c.Owner(), Name: f.name}
	if err := readForm(f.texts, &file); err != nil {
		return err
	}
	if f.got == nil {
		return openai.Missing("file")
	}
	u := f.got
	f.got = nil
	if file, err = u.Keep(c.R.Context(), file); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, fileOf(file))
}

// form is what has come of one.
type form struct {
	name  string
	got   *jobs.Upload
	texts map[string]string
}

func (f *form) discard() {
	if f.got != nil {
		f.got.Discard()
	}
}

func (f *form) read(s *jobs.Store, p *multipart.Part) (err error) {
	name := p.FormName()
	if name != "file" {
		text, err := io.ReadAll(io.LimitReader(p, maxField+1))
		if err == nil && (len(text) > maxField || !utf8.Valid(text)) {
			err = openai.Invalid(name, "%.60q must be text of at most %d bytes", name, maxField)
		}
		f.texts[name] = string(text)
		return err
	}
	if f.got != nil {
		return openai.Invalid("file", "the form has two files: send one")
	}
	if f.name = p.FileName(); f.name == "" {
		f.name = "upload"
	}
	if len(f.name) > 255 || !utf8.ValidString(f.name) || strings.ContainsFunc(f.name, unicode.IsControl) {
		return openai.Invalid("file", "the file's name must be text of at most 255 bytes, in one line")
	}
	f.got, err = s.Receive(p)
	return err
}

// broken is an upload that ended early, or what our own side has to say.
func broken(err error) error {
	if errors.Is(err, jobs.ErrTooLarge) {
		return api.ErrTooLarge.Because("%w", err)
	}
	if api.FailureOf(err).Code != "internal_error" {
		return err
	}
	return api.ErrBody.Because("openai: the form cannot be read: %w", err)
}

func readForm(texts map[string]string, file *jobs.File) error {
	for name, text := range texts {
		switch name {
		case "purpose":
			if !slices.Contains(purposes(), text) {
				return openai.Invalid("purpose", "purpose is %.60q: %s are possible", text, strings.Join(purposes(), ", "))
			}
			file.Purpose = text
		case "expires_after[anchor]":
			if text != "created_at" {
				return openai.Invalid("expires_after.anchor", "expires_after.anchor is %.60q: only created_at is possible", text)
			}
		case "expires_after[seconds]":
			n, err := strconv.Atoi(text)
			if err != nil || n < 3600 || n > 2592000 {
				return openai.Invalid("expires_after.seconds", "expires_after.seconds is %.60q: it must be from 3600 to 2592000", text)
			}
			file.Expires = time.Now().Add(time.Duration(n) * time.Second)
		}
	}
	if file.Purpose == "" {
		return openai.Missing("purpose")
	}
	return nil
}

// steady ends an upload that stands still, but not one that takes long.
type steady struct {
	r     io.Reader
	until func(time.Time) error
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.until(time.Now().Add(idle)) // inside, there is no connection and nothing stands still
	return s.r.Read(p)
}

// listFiles answers GET /v1/files.
func (h *handler) listFiles(c *api.Call) error {
	p, err := page.Read(c, "file-", page.Shape{Usual: 10000, Most: 10000})
	if err != nil {
		return err
	}
	p.Purpose = c.R.URL.Query().Get("purpose")
	all, more, err := h.s.Files(c.R.Context(), c.Owner(), p)
	if err != nil {
		return page.At("after", err)
	}
	out := []file{}
	for _, f := range all {
		out = append(out, fileOf(f))
	}
	return c.JSON(http.StatusOK, page.Of(out, more, func(f *file) string { return f.ID }))
}

func (h *handler) file(c *api.Call) error {
	f, err := h.s.File(c.R.Context(), c.Owner(), fileID(c.R.PathValue("id")))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, fileOf(f))
}

func (h *handler) deleteFile(c *api.Call) error {
	id := fileID(c.R.PathValue("id"))
	if err := h.s.DeleteFile(c.R.Context(), c.Owner(), id); err != nil {
		return err
	}
	return openai.Deleted(c, "file-"+id, "file")
}

// content answers GET /v1/files/{id}/content with the file as it came.
func (h *handler) content(c *api.Call) error {
	f, file, err := h.s.OpenFile(c.R.Context(), c.Owner(), fileID(c.R.PathValue("id")))
	if err != nil {
		return err
	}
	defer f.Close()
	head := c.W.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Length", strconv.FormatInt(file.Bytes, 10))
	head.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	head.Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(c.W)
	buffer := make([]byte, 64<<10)
	for {
		n, err := f.Read(buffer)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(idle)) // inside, nobody reads slowly
			if _, err := c.W.Write(buffer[:n]); err != nil {
				return nil // the reader left
			}
		}
		if errors.Is(err, io.EOF) {
			_ = control.SetWriteDeadline(time.Time{})
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type file struct {
	ID            string  `json:"id"`
	Object        string  `json:"object"`
	Bytes         int64   `json:"bytes"`
	Created       int64   `json:"created_at"`
	Expires       *int64  `json:"expires_at"`
	Name          string  `json:"filename"`
	Purpose       string  `json:"purpose"`
	Status        string  `json:"status"`
	StatusDetails *string `json:"status_details"`
}

func fileOf(f jobs.File) file {
	return file{ID: "file-" + f.ID, Object: "file", Bytes: f.Bytes, Created: f.Created.Unix(), Expires: seconds(f.Expires), Name: f.Name, Purpose: f.Purpose, Status: "processed"}
}
