// Package signature answers: who has signed this request, in Amazon's way (Signature Version 4)? The
// signature is an HMAC-SHA256 over
//
//	method, path as it was sent and escaped once more, sorted query, the headers that it names, SHA-256 of the body
//
// and the key of the HMAC is made of the secret, the day, the region and the service; the latter two may be
// any.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
)

const (
	maxAge     = 5 * time.Minute // how far the time in a signature may be from ours
	maxHeaders = 100
)

// ErrSignature: a request is not signed, or not with this secret, or too long ago.
var ErrSignature = fault.New(fault.Denied, "invalid_signature", "signature: it does not hold")

// Check checks that a request, which has this body, was signed with a secret, and lately. An old signature is
// told from a wrong one only once it has been found right.
func Check(r *http.Request, body func() ([]byte, error), secret string, now time.Time) error {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	fields := map[string]string{}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/") // id, day, region, service, aws4_request
	if len(scope) > 5 {                               // an id may have slashes
		scope = append([]string{strings.Join(scope[:len(scope)-4], "/")}, scope[len(scope)-4:]...)
	}
	names := strings.Split(fields["SignedHeaders"], ";")
	at := r.Header.Get("X-Amz-Date")
	when, err := time.Parse("20060102T150405Z", at)
	if err != nil || len(scope) != 5 || scope[4] != "aws4_request" || scope[1] != at[:8] || len(names) > maxHeaders || !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return ErrSignature.Because("signature: the signature is not a whole one: it needs Credential=ID/DAY/REGION/SERVICE/aws4_request, SignedHeaders with host and x-amz-date, Signature, and the header X-Amz-Date")
	}
	data, err := body()
	if err != nil {
		return err
	}
	hash := sum(data)
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != hash {
		return ErrSignature.Because("signature: X-Amz-Content-Sha256 is not the SHA-256 of the body")
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at, strings.Join(scope[1:], "/"), sum([]byte(canonical(r, names, hash)))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range scope[1:] {
		key = mac(key, part)
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(mac(key, text))), []byte(fields["Signature"])) != 1 {
		return ErrSignature.Because("signature: the signature does not match: check the secret access key")
	}
	if off := now.Sub(when).Abs(); off > maxAge {
		return ErrSignature.Because("signature: the signature is of %s, which is %s from now: set the clock", at, off.Round(time.Second))
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// canonical is a request as it is signed.
func canonical(r *http.Request, names []string, hash string) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok { // as proxies are asked
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	lines := []string{r.Method, escapedPath(path), canonicalQuery(query)}
	for _, name := range names {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		clean := make([]string, len(values))
		for i, v := range values {
			clean[i] = strings.Join(strings.Fields(v), " ")
		}
		lines = append(lines, name+":"+strings.Join(clean, ","))
	}
	return strings.Join(append(lines, "", strings.Join(names, ";"), hash), "\n")
}

// canonicalQuery sorts the arguments, by name and then by value; they stay escaped as they came.
func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	var pairs [][]string
	for arg := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(arg, "=")
		pairs = append(pairs, []string{name, value})
	}
	slices.SortFunc(pairs, slices.Compare)
	args := make([]string, len(pairs))
	for i, p := range pairs {
		args[i] = p[0] + "=" + p[1]
	}
	return strings.Join(args, "&")
}

// escapedPath is a path that is escaped already, escaped once more.
func escapedPath(path string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if strings.IndexByte(plain, path[i]) >= 0 {
			b.WriteByte(path[i])
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{path[i]})))
	}
	return b.String()
}
