package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// plain writes a result as its number, name and status.
func plain(_ *Batch, r *Result) ([]byte, bool, error) {
	return fmt.Appendf(nil, "%d %s %d %s", r.N, r.Name, r.Status, r.Body), r.Status >= 400 || r.Status == 0, nil
}

func open(t testing.TB, home string) *Store {
	t.Helper()
	d, err := db.Open(context.Background(), testdeps.Database(t, filepath.Join(home, "galerne.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return New(Options{DB: d, Dir: filepath.Join(home, "files"), Dialects: map[string]Dialect{"plain": {Purpose: "made", Line: plain}}, Hold: 400 * time.Millisecond})
}

// running works on batches until the test ends or stop is called.
func running(t testing.TB, s *Store, do Do) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { s.Run(ctx, do) })
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return stop
}

func items(n int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for i := range n {
			if !yield(Item{Name: fmt.Sprintf("item-%d", i), Method: "POST", Path: "/say", Body: fmt.Appendf(nil, `{"i":%d}`, i)}, nil) {
				return
			}
		}
	}
}

func create(t testing.TB, s *Store, b Batch, all iter.Seq2[Item, error]) Batch {
	t.Helper()
	b.Owner, b.Dialect = "me", "plain"
	b, err := s.Create(context.Background(), b, all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ended(t testing.TB, s *Store, b Batch) Batch {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		now, err := s.Batch(context.Background(), b.Owner, b.Dialect, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now.Ended() {
			return now
		}
	}
	t.Fatal("the batch does not end")
	return b
}

// content is a file's text, "" if there is no file.
func content(t testing.TB, s *Store, id string) string {
	t.Helper()
	if id == "" {
		return ""
	}
	f, file, err := s.OpenFile(context.Background(), "me", id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil || int64(len(text)) != file.Bytes || file.Purpose != "made" {
		t.Fatalf("%d bytes of %+v: %v", len(text), file, err)
	}
	return string(text)
}

func echo(_ context.Context, _, _, _ string, body []byte) (Answer, error) {
	return Answer{Status: 200, RequestID: "r", Body: body}, nil
}

func TestABatchAsksEachRequestAndWritesWhatItGot(t *testing.T) {
	s := open(t, t.TempDir())
	var mu sync.Mutex
	busy := map[string]int{}
	running(t, s, func(ctx context.Context, key, method, path string, body []byte) (Answer, error) {
		if key != "k" || method != "POST" || path != "/say" {
			t.Errorf("%s %s %s", key, method, path)
		}
		mu.Lock()
		defer mu.Unlock()
		switch text := string(body); text {
		case `{"i":3}`:
			return Answer{Status: 400, Body: []byte(`"bad"`)}, nil
		case `{"i":5}`:
			if busy[text]++; busy[text] == 1 {
				return Answer{Status: 503, Retry: true}, nil
			}
		}
		return echo(ctx, key, method, path, body)
	})
	b := create(t, s, Batch{Key: "k", Metadata: json.RawMessage(`{"a":"b"}`)}, items(10))
	if b.Status != InProgress || b.Total != 10 {
		t.Fatalf("%+v", b)
	}
	b = ended(t, s, b)
	if b.Status != Completed || b.Completed != 9 || b.Failed != 1 || string(b.Metadata) != `{"a":"b"}` || b.Finalizing.IsZero() {
		t.Errorf("%+v", b)
	}
	var want strings.Builder
	for i := range 10 {
		if i != 3 {
			fmt.Fprintf(&want, "%d item-%d 200 {\"i\":%d}\n", i+1, i, i)
		}
	}
	if got := content(t, s, b.Output); got != want.String() {
		t.Errorf("got\n%s, want\n%s", got, want.String())
	}
	if got := content(t, s, b.Failures); got != "4 item-3 400 \"bad\"\n" {
		t.Errorf("%q", got)
	}
	left, err := os.ReadDir(s.o.Dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v stay in the folder, %v", left, err)
	}
}

// TestAnAnswerThatIsStoredIsNeverAskedAgain stops the work again and again, each time in a process
// of its own as far as the database knows.
func TestAnAnswerThatIsStoredIsNeverAskedAgain(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	const n = 200
	b := create(t, s, Batch{}, items(n))
	var mu sync.Mutex
	asked := map[string]int{}
	for range 100 {
		s := open(t, home)
		stored := map[string]bool{}
		if err := s.Results(context.Background(), &b, func(r *Result) error { stored[r.Name] = r.Status != 0; return nil }); err != nil {
			t.Fatal(err)
		}
		enough := make(chan struct{})
		calls := 0
		stop := running(t, s, func(ctx context.Context, key, method, path string, body []byte) (Answer, error) {
			var v struct{ I int }
			_ = json.Unmarshal(body, &v)
			mu.Lock()
			if name := fmt.Sprintf("item-%d", v.I); stored[name] {
				t.Errorf("%s has been answered, and is asked again", name)
			} else {
				asked[name]++
			}
			if calls++; calls == 23 {
				close(enough)
			}
			mu.Unlock()
			return echo(ctx, key, method, path, body)
		})
		select {
		case <-enough:
		case <-time.After(300 * time.Millisecond):
		}
		stop()
		if now, err := s.Batch(context.Background(), "me", "plain", b.ID); err != nil || now.Ended() {
			b = now
			break
		}
	}
	if b.Status != Completed || b.Completed != n || len(asked) != n {
		t.Fatalf("%+v, %d asked", b, len(asked))
	}
	if lines := strings.Count(content(t, s, b.Output), "\n"); lines != n {
		t.Errorf("%d lines", lines)
	}
}

func TestALineThatHasAnAnswerKeepsIt(t *testing.T) {
	s, ctx := open(t, t.TempDir()), context.Background()
	w := &worker{s: s, b: create(t, s, Batch{}, items(1))}
	for _, a := range []Answer{{Status: 200, Body: []byte("first")}, {Status: 400, Body: []byte("second")}} {
		if err := w.store(ctx, line{n: 1}, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Results(ctx, &w.b, func(r *Result) error {
		if r.Status != 200 || string(r.Body) != "first" {
			t.Errorf("%+v", r)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Batch(ctx, "me", "plain", w.b.ID); err != nil || b.Completed != 1 || b.Failed != 0 {
		t.Errorf("%+v %v", b, err)
	}
}

// TestTwoProcessesDoNotShareABatch has both look at the same database.
func TestTwoProcessesDoNotShareABatch(t *testing.T) {
	home := t.TempDir()
	var mu sync.Mutex
	asked := map[string]int{}
	slow := func(ctx context.Context, key, method, path string, body []byte) (Answer, error) {
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		asked[string(body)]++
		mu.Unlock()
		return echo(ctx, key, method, path, body)
	}
	a, b := open(t, home), open(t, home)
	running(t, a, slow)
	running(t, b, slow)
	var all []Batch
	for range 3 {
		all = append(all, create(t, a, Batch{}, items(100)))
	}
	for _, one := range all {
		if one = ended(t, b, one); one.Status != Completed || one.Completed != 100 {
			t.Errorf("%+v", one)
		}
	}
	for body, times := range asked {
		if times != 3 {
			t.Errorf("%s was asked %d times, want 3", body, times)
		}
	}
}

func TestABatchCanBeCancelled(t *testing.T) {
	s := open(t, t.TempDir())
	running(t, s, func(ctx context.Context, key, method, path string, body []byte) (Answer, error) {
		if bytes.Equal(body, []byte(`{"i":0}`)) {
			return echo(ctx, key, method, path, body)
		}
		<-ctx.Done()
		return Answer{}, ctx.Err()
	})
	b := create(t, s, Batch{}, items(50))
	for b.Completed == 0 {
		time.Sleep(5 * time.Millisecond)
		b, _ = s.Batch(context.Background(), "me", "plain", b.ID)
	}
	if now, err := s.Cancel(context.Background(), "me", "plain", b.ID); err != nil || now.Status != Cancelling {
		t.Fatalf("%+v %v", now, err)
	}
	b = ended(t, s, b)
	if b.Status != Cancelled || b.Completed != 1 || content(t, s, b.Output) != "1 item-0 200 {\"i\":0}\n" || b.Failures != "" {
		t.Errorf("%+v", b)
	}
	if _, err := s.Cancel(context.Background(), "me", "plain", b.ID); err != nil {
		t.Errorf("cancelled again: %v", err)
	}
	if err := s.DeleteBatch(context.Background(), "me", "plain", b.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.Batch(context.Background(), "me", "plain", b.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestABatchExpiresWithWhatItHas(t *testing.T) {
	s := open(t, t.TempDir())
	running(t, s, func(ctx context.Context, key, method, path string, body []byte) (Answer, error) {
		if bytes.Equal(body, []byte(`{"i":1}`)) {
			return echo(ctx, key, method, path, body)
		}
		return Answer{Status: 503, Retry: true, After: time.Hour}, nil
	})
	b := ended(t, s, create(t, s, Batch{Expires: time.Now().Add(time.Second)}, items(3)))
	if b.Status != Expired || content(t, s, b.Output) != "2 item-1 200 {\"i\":1}\n" || content(t, s, b.Failures) != "1 item-0 0 \n3 item-2 0 \n" {
		t.Errorf("%+v", b)
	}
}

func TestABatchWhoseKeyEndsFails(t *testing.T) {
	s := open(t, t.TempDir())
	gone := fault.New(fault.Denied, "invalid_api_key", "the key is gone")
	running(t, s, func(context.Context, string, string, string, []byte) (Answer, error) { return Answer{}, gone })
	b := ended(t, s, create(t, s, Batch{}, items(100)))
	if b.Status != Failed || len(b.Errors) != 1 || b.Errors[0].Code != "invalid_api_key" {
		t.Errorf("%+v", b)
	}
}

func TestABatchThatCannotBeReadFailsAtOnceAndSaysWhere(t *testing.T) {
	s := open(t, t.TempDir())
	s.o.LineBytes, s.o.MaxLines = 20, 5
	bad := func(yield func(Item, error) bool) {
		_ = yield(Item{Name: "a"}, nil) && yield(Item{}, &Invalid{Line: 2, Code: "invalid_json", Message: "no"}) && yield(Item{Name: "a"}, nil) &&
			yield(Item{Name: "b", Body: make([]byte, 21)}, nil) && yield(Item{Name: "c\x00"}, nil)
	}
	b := create(t, s, Batch{}, bad)
	var codes []string
	for _, e := range b.Errors {
		codes = append(codes, fmt.Sprint(e.Line, " ", e.Code))
	}
	if b.Status != Failed || !b.Ended() || !slices.Equal(codes, []string{"2 invalid_json", "3 duplicate_custom_id", "4 request_too_large", "5 invalid_custom_id"}) {
		t.Errorf("%+v", b)
	}
	if b := create(t, s, Batch{}, items(0)); b.Status != Failed || b.Errors[0].Code != "empty_file" {
		t.Errorf("%+v", b)
	}
	if b := create(t, s, Batch{}, items(6)); b.Status != Failed || b.Errors[0].Code != "too_many_tasks" {
		t.Errorf("%+v", b)
	}
	if left, _ := os.ReadDir(s.o.Dir); len(left) != 0 {
		t.Errorf("%v stay", left)
	}
	broken := errors.New("the connection broke")
	if _, err := s.Create(context.Background(), Batch{}, func(yield func(Item, error) bool) { yield(Item{}, broken) }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestFilesAreListedAsTheyWereStored compares pages with a plain slice.
func TestFilesAreListedAsTheyWereStored(t *testing.T) {
	s, ctx, now, checks := open(t, t.TempDir()), context.Background(), time.Now(), 0
	s.o.Now = func() time.Time { return now }
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		a, b := fmt.Sprint("a", checks), fmt.Sprint("b", checks)
		var all []File
		for range rapid.IntRange(0, 12).Draw(rt, "files") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "ms")) * time.Millisecond)
			text := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "content")
			u, err := s.Receive(bytes.NewReader(text))
			if err != nil {
				rt.Fatal(err)
			}
			f, err := u.Keep(ctx, File{Owner: rapid.SampledFrom([]string{a, b}).Draw(rt, "owner"), Purpose: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "purpose")})
			if err != nil || f.Bytes != int64(len(text)) {
				rt.Fatal(f, err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "delete") == 0 {
				if err := s.DeleteFile(ctx, f.Owner, f.ID); err != nil {
					rt.Fatal(err)
				}
				continue
			}
			all = append(all, f)
		}
		slices.SortFunc(all, func(x, y File) int {
			if c := x.Created.Compare(y.Created); c != 0 {
				return c
			}
			return strings.Compare(x.ID, y.ID)
		})
		p := Page{Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Oldest: rapid.Bool().Draw(rt, "oldest"), Purpose: rapid.SampledFrom([]string{"", "x"}).Draw(rt, "of")}
		var want, got []string
		for _, f := range all {
			if f.Owner == a && (p.Purpose == "" || f.Purpose == p.Purpose) {
				want = append(want, f.ID)
			} else if _, err := s.File(ctx, a, f.ID); f.Owner == b && !errors.Is(err, ErrNotFound) {
				rt.Fatalf("somebody else's file: %v", err)
			}
		}
		if !p.Oldest {
			slices.Reverse(want)
		}
		for more := true; more; {
			var part []File
			var err error
			if part, more, err = s.Files(ctx, a, p); err != nil {
				rt.Fatal(err)
			}
			for _, f := range part {
				got = append(got, f.ID)
				p.After = f.ID
			}
		}
		if !slices.Equal(got, want) {
			rt.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestFilesExpireAndWhatDeadProcessesLeftIsSwept(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now()
	s.o.Now = func() time.Time { return now }
	ctx := context.Background()
	keep := func(expires time.Time) File {
		u, err := s.Receive(strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := u.Keep(ctx, File{Owner: "me", Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	stays, goes := keep(time.Time{}), keep(now.Add(time.Minute))
	for _, name := range []string{"new-1", "file-nobody", "batch-nobody", "of-somebody-else"} {
		if err := os.WriteFile(s.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	if _, err := s.File(ctx, "me", goes.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("an expired file: %v", err)
	}
	now = now.Add(25 * time.Hour)
	if err := s.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(s.o.Dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{blob(stays.ID), "of-somebody-else"}) {
		t.Errorf("%v stay", left)
	}
}

func TestFilesThatCannotBeKeptSayWhy(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	s.o.FileBytes = 10
	if _, err := s.Receive(strings.NewReader("eleven bytes")); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "10 bytes") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(s.o.Dir); len(left) != 0 {
		t.Errorf("%v stay", left)
	}
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.o.Dir = filepath.Join(file, "below a file")
	if _, err := s.Receive(strings.NewReader("x")); !errors.Is(err, ErrDisk) {
		t.Error(err)
	}
}

func TestAllOfItHoldsOnPostgreSQL(t *testing.T) { testdeps.OnPostgres(t, ".") }
