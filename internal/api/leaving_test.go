package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/metric"
)

// listening serves a backend as the program does, on a socket of its own.
func listening(t *testing.T, b *apitest.Backend) string {
	t.Helper()
	s, err := api.New(api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Drain: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	address, stop, served := onSocket(t, s)
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return address
}

// onSocket serves on a free port until stop; served gives how that ended.
func onSocket(t *testing.T, s *api.Server) (address string, stop func(), served <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	return l.Addr().String(), stop, ended
}

// Answers that do not end before their first part and after it.
const (
	early = "start\nhang"
	later = "start\ntext \"a\"\nhang"
)

const head = "POST /v1/say HTTP/1.1\r\nHost: localhost\r\n"

func length(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) }

// asks are ways to send a request; each gives its pieces, between which a client may be slow or leave.
var asks = map[string]func(body string) []string{
	"at once":      func(b string) []string { return []string{head + length(b) + b} },
	"body later":   func(b string) []string { return []string{head + length(b), b[:3], b[3:]} },
	"byte by byte": func(b string) []string { return strings.Split(head+length(b)+b, "") },
	"in chunks": func(b string) []string {
		return []string{head + "Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(b), b), "0\r\n\r\n"}
	},
	"asking to go on":         func(b string) []string { return []string{head + "Expect: 100-continue\r\n" + length(b), b} },
	"with a newline too many": func(b string) []string { return []string{head + length(b) + b, "\r\n"} },
	"with the next request":   func(b string) []string { return []string{head + length(b) + b, head + length(b) + b} },
	"with a very long one": func(b string) []string {
		return []string{head + length(b) + b, head + length(strings.Repeat(" ", 20_000)+b) + strings.Repeat(" ", 20_000) + b}
	},
}

// leaves are ways to go.
var leaves = map[string]func(*net.TCPConn) error{
	"closes": (*net.TCPConn).Close,
	"resets": func(c *net.TCPConn) error {
		_ = c.SetLinger(0)
		return c.Close()
	},
	"closes its half": (*net.TCPConn).CloseWrite,
}

// TestWhoLeavesEndsTheAnswerHoweverTheyAskedAndLeft tries each way to ask with each way to leave, before the
// first part of an answer and after it, streamed and whole, the connection new and used before.
func TestWhoLeavesEndsTheAnswerHoweverTheyAskedAndLeft(t *testing.T) {
	for ask, pieces := range asks {
		for leave, by := range leaves {
			t.Run(ask+", "+leave, func(t *testing.T) {
				b := &apitest.Backend{Scripts: map[string]string{"early": early, "later": later, "m": "start\ntext \"a\"\nfinish stop\nend"}}
				address := listening(t, b)
				for _, body := range []string{`{"model":"early","stream":true}`, `{"model":"later","stream":true}`, `{"model":"early"}`, `{"model":"later"}`} {
					for _, used := range []bool{false, true} {
						conn := dial(t, address)
						if used {
							use(t, conn)
						}
						for _, piece := range pieces(body) {
							fmt.Fprint(conn, piece)
						}
						until(t, b, 1)
						if err := by(conn); err != nil {
							t.Fatal(err)
						}
						until(t, b, 0)
						conn.Close()
					}
				}
			})
		}
	}
}

// use asks for an answer and reads it.
func use(t *testing.T, conn net.Conn) {
	t.Helper()
	body := `{"model":"m"}`
	fmt.Fprint(conn, head+length(body)+body)
	w, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(w.Body); err != nil || string(text) != `"a"` {
		t.Fatalf("%q %v", text, err)
	}
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// until waits for so many answers to be under way.
func until(t *testing.T, b *apitest.Backend, live int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); b.Live() != live; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d answers are under way, not %d", b.Live(), live)
		}
	}
}

// TestAHundredWhoLeaveAtAnyMomentLeaveNothing lets many clients leave in the middle of whatever they do.
func TestAHundredWhoLeaveAtAnyMomentLeaveNothing(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"early": early, "later": later, "slow": "start\ntext \"a\"\nwait 5ms\ntext \"b\"\nwait 5ms\nfinish stop\nend"}}
	address := listening(t, b)
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			draw := rand.New(rand.NewPCG(uint64(i), 1))
			for range 5 {
				conn := dial(t, address)
				body := fmt.Sprintf(`{"model":"%s","stream":%t}`, []string{"early", "later", "slow"}[draw.IntN(3)], draw.IntN(2) == 0)
				pieces := pick(draw, asks)(body)
				for _, piece := range pieces[:1+draw.IntN(len(pieces))] {
					if draw.IntN(8) == 0 {
						time.Sleep(time.Duration(draw.IntN(2000)) * time.Microsecond)
					}
					fmt.Fprint(conn, piece)
				}
				time.Sleep(time.Duration(draw.IntN(12_000)) * time.Microsecond)
				_ = pick(draw, leaves)(conn) // who was answered may find the connection closed
				defer conn.Close()           // for those who have closed a half
			}
		})
	}
	group.Wait()
	until(t, b, 0)
}

// pick draws one of the values.
func pick[V any](draw *rand.Rand, from map[string]V) (v V) {
	at := draw.IntN(len(from))
	for _, v = range from {
		if at--; at < 0 {
			break
		}
	}
	return v
}

// TestRequestsSentAheadAreAnsweredInTurn sends requests before the answers to those before them, short ones
// and more than is read ahead.
func TestRequestsSentAheadAreAnsweredInTurn(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"m": "start\nwait 20ms\ntext \"a\"\nfinish stop\nend"}}
	conn := dial(t, listening(t, b))
	defer conn.Close()
	const requests = 8
	go func() {
		for i := range requests {
			body := strings.Repeat(" ", i*30_000) + `{"model":"m"}`
			fmt.Fprint(conn, head+length(body)+body)
		}
	}()
	answers := bufio.NewReader(conn)
	for range requests {
		w, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(w.Body); err != nil || w.StatusCode != 200 || string(text) != `"a"` {
			t.Fatalf("%d %q %v", w.StatusCode, text, err)
		}
	}
}

// TestAnAnswerThatNobodyWaitsForAnyLongerEnds has callers who say how long they wait, behind a proxy that keeps
// their connection open.
func TestAnAnswerThatNobodyWaitsForAnyLongerEnds(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"later": later, "slow": "start\nwait 50ms\ntext \"a\"\nfinish stop\nend"}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}})
	for _, name := range []string{"X-Stainless-Read-Timeout", "x-stainless-timeout"} {
		began := time.Now()
		code, text := post(t, h.URL+"/v1/say", `{"model":"later"}`, name, "0.2")
		if code != 504 || !strings.Contains(text, `"code":"timeout"`) || !strings.Contains(text, "client's timeout") || time.Since(began) < time.Second {
			t.Errorf("%s: %d %s after %v", name, code, text, time.Since(began))
		}
		until(t, b, 0)
		for _, body := range []string{`{"model":"slow"}`, `{"model":"slow","stream":true}`} {
			for _, value := range []string{"600", "600.0", "0", "-1", "None", "NaN", "1e300"} {
				if code, text := post(t, h.URL+"/v1/say", body, name, value); code != 200 || !strings.Contains(text, `"a"`) {
					t.Errorf("%s: %s: %s %d %s", name, value, body, code, text)
				}
			}
		}
	}
	// A stream goes on, since its keep-alives are what the caller waits for.
	if code, text := post(t, h.URL+"/v1/say", `{"model":"slow","stream":true}`, "X-Stainless-Read-Timeout", "0.01"); code != 200 || !strings.Contains(text, "end") {
		t.Errorf("%d %s", code, text)
	}
}

func TestReadersWhoDoNotReadAreDropped(t *testing.T) {
	script := "start\n" + strings.Repeat("text \""+strings.Repeat("x", 64<<10)+"\"\n", 400) + "finish stop\nend"
	for _, stream := range []bool{true, false} {
		b := &apitest.Backend{Scripts: map[string]string{"": script}}
		ended := make(chan api.Record, 1)
		h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, WriteTimeout: 100 * time.Millisecond, Done: func(r api.Record) { ended <- r }})
		conn, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"model":"m","stream":%t}`, stream)
		fmt.Fprintf(conn, "POST /v1/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		select {
		case r := <-ended:
			if stream && r.Status != 499 {
				t.Errorf("status %d", r.Status)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("stream %t: who does not read holds a handler", stream)
		}
		until(t, b, 0)
		conn.Close()
	}
}

func TestWhoLeavesHasUsedWhatWasMade(t *testing.T) {
	registry := metric.New()
	b := &apitest.Backend{Scripts: map[string]string{"": "start prompt=5\ntext \"a\"\ntext \"b\"\nhang"}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Registry: registry})
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/say", strings.NewReader(`{"model":"m","stream":true}`))
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8)
	_, _ = io.ReadFull(w.Body, got)
	cancel()
	w.Body.Close()
	until(t, b, 0)
	h.Close()
	rec := httptest.NewRecorder()
	metric.Handler(registry).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`galerne_tokens_total{kind="prompt",surface="x"} 5`, `galerne_tokens_total{kind="answer",surface="x"} 2`, `galerne_http_requests_total{route="/v1/say",status="499",surface="x"} 1`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestABodyThatStopsComingEndsTheRequest(t *testing.T) {
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}, BodyTimeout: 200 * time.Millisecond})
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "POST /v1/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
	for range 4 { // longer than the pause that is allowed, without one
		time.Sleep(80 * time.Millisecond)
		fmt.Fprint(conn, "{")
	}
	w, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(w.Body)
	if w.StatusCode != 408 || !strings.Contains(string(text), "200ms") {
		t.Errorf("%d %s", w.StatusCode, text)
	}
}

// net/http waits for the rest of a body before it sends an answer, for ever unless it is told.
func TestABodyThatNobodyReadsHoldsNoAnswer(t *testing.T) {
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}, Keys: api.OneKey("k"), BodyTimeout: 200 * time.Millisecond})
	for path, want := range map[string]int{"POST /v1/say": 401, "GET /healthz": 200, "POST /nothing": 404} {
		conn, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n", path)
		w, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if w.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, w.StatusCode, want)
		}
		conn.Close()
	}
}
