package signature_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api/signature"
)

type request struct {
	r    *http.Request
	body func() ([]byte, error)
}

func (r request) check(secret string, now time.Time) error {
	return signature.Check(r.r, r.body, secret, now)
}

// signed are requests that botocore 1.44.5 (SigV4Auth, service bedrock, region us-east-1) has signed for
// access key AKIDEXAMPLE with the secret wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY, made by testdata/sign.py.
func signed(t *testing.T, path, body, sum, names string) request {
	t.Helper()
	r := httptest.NewRequest("POST", path, nil)
	r.Host = "localhost:4747"
	r.Header.Set("X-Amz-Date", "20260102T030405Z")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Note", "  two   words ")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, SignedHeaders="+names+", Signature="+sum)
	return request{r, func() ([]byte, error) { return io.ReadAll(strings.NewReader(body)) }}
}

func TestSignaturesOfBotocoreHold(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	at := time.Date(2026, 1, 2, 3, 6, 0, 0, time.UTC)
	const names = "content-type;host;x-amz-date;x-note"
	for _, s := range signatures {
		c := signed(t, s.path, s.body, s.signature, names)
		if err := c.check(secret, at); err != nil {
			t.Errorf("%s: %v", s.path, err)
		}
		for what, wrong := range map[string]func() (request, string, time.Time){
			"another secret": func() (request, string, time.Time) { return c, secret + "x", at },
			"another body": func() (request, string, time.Time) {
				return signed(t, s.path, s.body+" ", s.signature, names), secret, at
			},
			"another path": func() (request, string, time.Time) {
				return signed(t, s.path+"x", s.body, s.signature, names), secret, at
			},
			"too late":  func() (request, string, time.Time) { return c, secret, at.Add(time.Hour) },
			"too early": func() (request, string, time.Time) { return c, secret, at.Add(-time.Hour) },
			"host not signed": func() (request, string, time.Time) {
				return signed(t, s.path, s.body, s.signature, "content-type;x-amz-date"), secret, at
			},
			"no signature": func() (request, string, time.Time) { return signed(t, s.path, s.body, "", names), secret, at },
			"another header": func() (request, string, time.Time) {
				w := signed(t, s.path, s.body, s.signature, names)
				w.r.Header.Set("Content-Type", "text/plain")
				return w, secret, at
			},
			"another hash": func() (request, string, time.Time) {
				w := signed(t, s.path, s.body, s.signature, names)
				w.r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
				return w, secret, at
			},
			"another day": func() (request, string, time.Time) {
				w := signed(t, s.path, s.body, s.signature, names)
				w.r.Header.Set("Authorization", strings.Replace(w.r.Header.Get("Authorization"), "20260102", "20260103", 1))
				return w, secret, at
			},
		} {
			w, with, now := wrong()
			if err := w.check(with, now); !errors.Is(err, signature.ErrSignature) {
				t.Errorf("%s with %s: %v", s.path, what, err)
			}
		}
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20260102T030405Z", "/a?b=c&d")
	f.Add("AWS4-HMAC-SHA256 ,,=,Credential=////////", "2", "?")
	f.Fuzz(func(t *testing.T, header, date, uri string) {
		r := &http.Request{Method: "POST", RequestURI: uri, Header: http.Header{"Authorization": {header}, "X-Amz-Date": {date}}}
		c := request{r, func() ([]byte, error) { return nil, nil }}
		if err := c.check("secret", time.Now()); err == nil {
			t.Errorf("%q was taken", header)
		}
	})
}
