package apitest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

var update = flag.Bool("update", false, "rewrite golden files with what is answered now; read the difference")

// Golden runs every .txtar file of a folder. A file's sections:
//
//	request    METHOD PATH, headers, a blank line, the body: as HTTP says them
//	models     models that there are beside m, a name a line, with its labels if it is a classifier; optional
//	script     what the backend plays (see Script); optional
//	asked      what the surface made of the request, as JSON; rewritten by -update, absent if nothing
//	response   status, headers and the exact bytes of the body; rewritten by -update
//
// A body that does not end in a newline is followed by a line that says so, a carriage return is
// written as ␍, a binary event stream is told event by event, and a connection that was cut is told.
func Golden(t *testing.T, folder string, o api.Options) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files in %s (%v)", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			old, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, old, o)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := txtar.Format(old); !bytes.Equal(got, want) {
				t.Errorf("%s: the answer has changed; want\n%s\ngot\n%s", file, want, got)
			}
		})
	}
}

// play sends a file's request and gives the file as it would be now.
func play(t *testing.T, a *txtar.Archive, o api.Options) []byte {
	t.Helper()
	b := &Backend{Scripts: map[string]string{}}
	out := &txtar.Archive{Comment: a.Comment}
	var request []byte
	for _, f := range a.Files {
		switch f.Name {
		case "models":
			b.List = b.models()
			for line := range strings.Lines(string(f.Data)) {
				words := strings.Fields(line)
				b.List = append(b.List, chat.Model{Name: words[0], Labels: words[1:], Embeds: len(words) == 1, Context: 512, Created: created})
			}
		case "script":
			b.Scripts[""] = string(f.Data)
		case "request":
			request = f.Data
		default:
			continue
		}
		out.Files = append(out.Files, f)
	}
	o.Backend = b
	response := exchange(t, Serve(t, o), request)
	var asked []any
	for _, r := range b.Asked() {
		asked = append(asked, r)
	}
	for _, r := range b.EmbedsAsked() {
		asked = append(asked, r)
	}
	for _, r := range b.RanksAsked() {
		asked = append(asked, r)
	}
	if len(asked) > 0 {
		out.Files = append(out.Files, txtar.File{Name: "asked", Data: describe(t, asked)})
	}
	out.Files = append(out.Files, txtar.File{Name: "response", Data: response})
	return txtar.Format(out)
}

// Story plays one file whose sections are a script and many times a request and its response, as Golden has
// them: what one request leaves behind, the next one finds. Requests are numbered.
func Story(t *testing.T, file string, o api.Options) {
	t.Helper()
	old, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b := &Backend{Scripts: map[string]string{}}
	o.Backend, o.NewID = b, Counted()
	h := Serve(t, o)
	out := &txtar.Archive{Comment: old.Comment}
	for _, f := range old.Files {
		switch f.Name {
		case "script":
			b.Scripts[""] = string(f.Data)
			out.Files = append(out.Files, f)
		case "request":
			out.Files = append(out.Files, f, txtar.File{Name: "response", Data: exchange(t, h, f.Data)})
		}
	}
	got, want := txtar.Format(out), txtar.Format(old)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s: an answer has changed; want\n%s\ngot\n%s", file, want, got)
	}
}

// Serve runs a server, with request ids that are always the same unless o says otherwise, until the test ends.
func Serve(t testing.TB, o api.Options) *httptest.Server {
	t.Helper()
	if o.NewID == nil {
		o.NewID = func() string { return "1" }
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 200 * time.Millisecond
	}
	s, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h
}

// describe is neutral requests without what is not set.
func describe(t *testing.T, asked []any) []byte {
	t.Helper()
	var all []string
	for _, r := range asked {
		var out bytes.Buffer
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(prune(v)); err != nil {
			t.Fatal(err)
		}
		all = append(all, out.String())
	}
	slices.Sort(all) // requests of one call come side by side
	return []byte(strings.Join(all, ""))
}

// prune takes out zero values, but of elements of lists.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			switch x := prune(x).(type) {
			case nil:
				delete(v, k)
			default:
				if x == any("") || x == any(json.Number("0")) && k != "Logprobs" && k != "Temperature" && k != "Seed" && k != "KeepAlive" || x == any(false) && k != "ParallelTools" && k != "Enabled" {
					delete(v, k)
				} else {
					v[k] = x
				}
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

// exchange sends a request as it is written and gives the answer as it came.
func exchange(t *testing.T, h *httptest.Server, text []byte) []byte {
	t.Helper()
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	body = bytes.TrimSuffix(body, []byte("\n"))
	lines := strings.Split(strings.TrimSpace(string(head)), "\n")
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost:4747\r\nConnection: close\r\nContent-Length: %d\r\n", lines[0], len(body))
	for _, l := range lines[1:] {
		fmt.Fprintf(conn, "%s\r\n", l)
	}
	fmt.Fprintf(conn, "\r\n%s", body)
	method, _, _ := strings.Cut(lines[0], " ")
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	answer, cut := io.ReadAll(r.Body)
	if r.Header.Get("Content-Type") == "application/vnd.amazon.eventstream" {
		answer = []byte(tellAWS(answer))
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d\n", r.StatusCode)
	var names []string
	for name := range r.Header {
		if name != "Date" && name != "Content-Length" && name != "Request-Id" && !strings.HasSuffix(name, "-Ms") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
	fmt.Fprintf(&out, "\n%s", strings.ReplaceAll(string(answer), "\r", "␍"))
	if !bytes.HasSuffix(answer, []byte("\n")) {
		out.WriteString("\n(no newline at the end)\n")
	}
	if cut != nil {
		out.WriteString("(the connection was cut)\n")
	}
	return out.Bytes()
}

var _ chat.Stream = (*stream)(nil)
