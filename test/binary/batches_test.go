package binary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

type batch struct {
	ID       string
	Status   string
	Output   string                                 `json:"output_file_id"`
	Failures string                                 `json:"error_file_id"`
	Counts   struct{ Total, Completed, Failed int } `json:"request_counts"`
}

// decode reads the JSON of an answer that must be good.
func decode[T any](t *testing.T, code int, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil || code != 200 {
		t.Fatalf("%d %s (%v)", code, text, err)
	}
	return v
}

func (s *server) upload(key, content string) string {
	s.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, _ := form.CreateFormFile("file", "in.jsonl")
	_, _ = io.WriteString(part, content)
	_ = form.WriteField("purpose", "batch")
	form.Close()
	r, err := http.NewRequest("POST", s.url+"/v1/files", &b)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Body.Close()
	var f struct{ ID string }
	if err := json.NewDecoder(w.Body).Decode(&f); err != nil || w.StatusCode != 200 {
		s.t.Fatalf("%d %v", w.StatusCode, err)
	}
	return f.ID
}

// TestABatchSurvivesKills kills the server in the middle of a batch, several times, without a word of
// warning; at the end every request has one answer, and those that had one before a kill kept it.
func TestABatchSurvivesKills(t *testing.T) {
	t.Parallel()
	const n, kills = 60, 2
	home := t.TempDir()
	key := addKey(t, home, "ci")
	s := start(t, home, "serve", small(t))
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"custom_id":"item %d","method":"POST","url":"/v1/chat/completions","body":{"model":"","messages":[{"role":"user","content":"Say %d."}],"max_tokens":12,"temperature":1}}`+"\n", i, i)
	}
	code, _, text := s.call("POST", "/v1/batches", key, fmt.Sprintf(`{"input_file_id":"%s","endpoint":"/v1/chat/completions","completion_window":"24h"}`, s.upload(key, lines.String())))
	b := decode[batch](t, code, text)
	look := func() batch {
		code, _, text := s.call("GET", "/v1/batches/"+b.ID, key, "")
		return decode[batch](t, code, text)
	}
	for kill := range kills {
		had := look().Counts.Completed
		for deadline := time.Now().Add(time.Minute); look().Counts.Completed < had+5; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the batch does not go on after %d kills: %+v\n%s", kill, look(), s.log)
			}
		}
		before := look()
		if before.Status != "in_progress" {
			t.Fatalf("there was nothing left to kill: %+v", before)
		}
		_ = s.stop(syscall.SIGKILL)
		s = start(t, home, "serve", small(t))
		if after := look(); after.Counts.Completed < before.Counts.Completed {
			t.Fatalf("%+v before the kill, %+v after it", before, after)
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); b.Status != "completed"; time.Sleep(50 * time.Millisecond) {
		if b = look(); time.Now().After(deadline) {
			t.Fatalf("%+v\n%s", b, s.log)
		}
	}
	if b.Counts.Total != n || b.Counts.Completed != n || b.Failures != "" {
		t.Errorf("%+v", b)
	}
	code, _, text = s.call("GET", "/v1/files/"+b.Output+"/content", key, "")
	seen, requests := map[string]int{}, map[string]int{}
	for line := range strings.Lines(text) {
		var l struct {
			ID       string `json:"custom_id"`
			Response struct {
				Status    int    `json:"status_code"`
				RequestID string `json:"request_id"`
				Body      struct{ Choices []any }
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Response.Status != 200 || len(l.Response.Body.Choices) != 1 {
			t.Fatalf("%v in %s", err, line)
		}
		seen[l.ID]++
		requests[l.Response.RequestID]++
	}
	for i := range n {
		if id := fmt.Sprintf("item %d", i); seen[id] != 1 {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	if code != 200 || len(seen) != n || len(requests) != n {
		t.Errorf("%d: %d names, %d requests", code, len(seen), len(requests))
	}
}

func TestABatchEndsWithTheKeyThatMadeIt(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	key, other := addKey(t, home, "ci", "--tenant", "team"), addKey(t, home, "other", "--tenant", "team")
	s := start(t, home, "serve", small(t))
	line := `{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"Tell a story."}],"max_tokens":40,"ignore_eos":true}}` + "\n"
	var lines strings.Builder
	for i := range 600 { // more than can be answered before the key is revoked, and each soon, since those begun end first
		fmt.Fprintf(&lines, line, i)
	}
	code, _, text := s.call("POST", "/v1/batches", key, fmt.Sprintf(`{"input_file_id":"%s","endpoint":"/v1/chat/completions","completion_window":"24h"}`, s.upload(key, lines.String())))
	b := decode[batch](t, code, text)
	if _, errOut, code := output(t, home, "key", "revoke", "ci"); code != 0 {
		t.Fatal(errOut)
	}
	for deadline := time.Now().Add(time.Minute); b.Status != "failed"; time.Sleep(50 * time.Millisecond) {
		code, _, text = s.call("GET", "/v1/batches/"+b.ID, other, "") // of the same tenant
		if b = decode[batch](t, code, text); time.Now().After(deadline) {
			t.Fatalf("%+v", b)
		}
	}
	if !strings.Contains(text, "was revoked") {
		t.Error(text)
	}
}

type answer struct {
	ID     string
	Status string
	Output []struct{ Content []struct{ Text string } }
}

// TestAnAnswerInTheBackgroundSurvivesAKill asks and leaves; the server dies in the middle, and the
// next one answers. With temperature 0 it says what it would have said.
func TestAnAnswerInTheBackgroundSurvivesAKill(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	s := start(t, home, "serve", small(t))
	const question = `{"model":"","input":"Tell a long story about the sea.","temperature":0,"ignore_eos":true,"max_output_tokens":150,"background":%v}`
	code, _, text := s.call("POST", "/v1/responses", "", fmt.Sprintf(question, true))
	a := decode[answer](t, code, text)
	look := func() answer {
		code, _, text := s.call("GET", "/v1/responses/"+a.ID, "", "")
		return decode[answer](t, code, text)
	}
	s.until("some of the answer is written", func() bool {
		return look().Status == "in_progress" && s.metric("galerne_time_to_first_token_seconds_count") > 0
	})
	_ = s.stop(syscall.SIGKILL)
	s = start(t, home, "serve", small(t))
	for deadline := time.Now().Add(time.Minute); a.Status != "incomplete"; time.Sleep(50 * time.Millisecond) {
		if a = look(); time.Now().After(deadline) {
			t.Fatalf("%+v\n%s", a, s.log)
		}
	}
	code, _, text = s.call("POST", "/v1/responses", "", fmt.Sprintf(question, false))
	whole := decode[answer](t, code, text)
	got, want := a.Output[0].Content[0].Text, whole.Output[0].Content[0].Text
	if got != want || len(got) < 100 {
		t.Errorf("got %q, want %q", got, want)
	}
	_, _, stream := s.call("GET", "/v1/responses/"+a.ID+"?stream=true", "", "")
	var said strings.Builder
	number := 0
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Delta  string
			Number int `json:"sequence_number"`
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Number != number {
			t.Fatalf("event %d is %s (%v)", number, line, err)
		}
		number++
		said.WriteString(e.Delta)
	}
	if said.String() != want {
		t.Errorf("the stream said %q, want %q", said.String(), want)
	}
}

// TestAKeptChatSurvivesAKill kills the server as soon as a chat that is to be kept has been answered: the next
// server has it, and forgets it when it is told to.
func TestAKeptChatSurvivesAKill(t *testing.T) {
	t.Parallel()
	type completion struct {
		ID       string
		Metadata map[string]string
		Choices  []struct{ Message struct{ Content string } }
	}
	home := t.TempDir()
	s := start(t, home, "serve", small(t))
	ask := func(more string) string {
		code, _, text := s.call("POST", "/v1/chat/completions", "", `{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":8,"store":true,"metadata":{"k":"v"}`+more+`}`)
		if code != 200 {
			t.Fatalf("%d %s", code, text)
		}
		return text
	}
	whole := decode[completion](t, 200, ask(""))
	stream := ask(`,"stream":true`)
	_ = s.stop(syscall.SIGKILL)
	s = start(t, home, "serve", small(t))
	code, _, text := s.call("GET", "/v1/chat/completions?metadata[k]=v", "", "")
	all := decode[struct{ Data []completion }](t, code, text).Data
	if len(all) != 2 || all[0].ID != whole.ID || all[0].Choices[0] != whole.Choices[0] || all[0].Metadata["k"] != "v" || !strings.Contains(stream, `"id":"`+all[1].ID+`"`) {
		t.Fatalf("%s\nafter\n%+v\n%s", text, whole, stream)
	}
	if code, _, text := s.call("DELETE", "/v1/chat/completions/"+whole.ID, "", ""); code != 200 {
		t.Errorf("%d %s", code, text)
	}
	_ = s.stop(syscall.SIGKILL)
	s = start(t, home, "serve", "--keep", "0", small(t))
	if code, _, text := s.call("POST", "/v1/chat/completions", "", `{"messages":[{"role":"user","content":"hi"}],"store":true}`); code != 400 || !strings.Contains(text, `"param":"store"`) {
		t.Errorf("nothing is kept, and: %d %s", code, text)
	}
	_ = s.stop(syscall.SIGKILL)
	s = start(t, home, "serve", small(t))
	code, _, text = s.call("GET", "/v1/chat/completions", "", "")
	if all := decode[struct{ Data []completion }](t, code, text).Data; len(all) != 1 || all[0].ID == whole.ID {
		t.Errorf("one was removed: %s", text)
	}
}
