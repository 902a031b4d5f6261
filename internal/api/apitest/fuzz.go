package apitest

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/galerne-ai/galerne/internal/api"
)

// longest is how long an answer to any body may take, on however slow a machine.
const longest = 30 * time.Second

// patience is how long a caller here waits: streams of answers that are made in the background would never end,
// since nobody makes them.
const patience = time.Second

// FuzzBodies sends bodies to every route of a surface that reads one, seeded with those of its golden
// files. Whatever comes, the answer is not a 500, says nothing of what broke inside, and has an end.
func FuzzBodies(f *testing.F, sf *api.Surface, folder string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files in %s (%v)", folder, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(text).Files {
			if _, body, ok := bytes.Cut(part.Data, []byte("\n\n")); ok && part.Name == "request" {
				f.Add(body)
			}
		}
	}
	const script = "start prompt=1\nthink \"t\"\ntext \"a\" (97 \"a\" -1)\ncall \"c\" \"f\"\nargs \"{}\"\nfinish tool_call\nend prompt=1 answer=3"
	s, err := api.New(api.Options{Backend: &Backend{Scripts: map[string]string{"": script}}, Surfaces: []*api.Surface{sf}, NoAuth: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, rt := range sf.Routes {
			if rt.Method == "GET" {
				continue
			}
			w := httptest.NewRecorder()
			hung := time.AfterFunc(longest, func() { panic(fmt.Sprintf("%s %s does not answer %q", rt.Method, rt.Pattern, body)) })
			ctx, leave := context.WithTimeout(context.Background(), patience)
			s.ServeHTTP(w, httptest.NewRequest(rt.Method, pathOf(sf, &rt), bytes.NewReader(body)).WithContext(ctx))
			leave()
			hung.Stop()
			if w.Code == 500 || bytes.Contains(w.Body.Bytes(), []byte("internal_error")) {
				t.Errorf("%s %s: %d %s", rt.Method, rt.Pattern, w.Code, w.Body)
			}
		}
	})
}
