package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestAnOriginThatNoBrowserSendsIsRefused: it would be allowed and never match.
func TestAnOriginThatNoBrowserSendsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"chat.example.org": "write scheme and host", "https://a.example,https://b.example/app": "write https://b.example", "": "empty",
	} {
		status, out, errOut := command(t, environment{home: t.TempDir()}, "serve", "./none.gguf", "--origin", text)
		if status != 2 || out != "" || !strings.Contains(errOut, "--origin") || !strings.Contains(errOut, want) {
			t.Errorf("%q: status %d\n%s%s", text, status, out, errOut)
		}
	}
	var f struct {
		Origins origins `name:"origin"`
	}
	p, err := kong.New(&f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse([]string{"--origin", "https://A.example:443/, http://b.example"}); err != nil || strings.Join(f.Origins, " ") != "https://a.example http://b.example" {
		t.Errorf("%v %v", f.Origins, err)
	}
}
