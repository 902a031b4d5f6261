package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api/signature"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Scope is what a route does, as keys are limited to it.
type Scope string

const (
	Open     Scope = ""         // whether the server lives: nobody is asked for a key
	Generate Scope = "generate" // answers of any form
	Embed    Scope = "embed"    // vectors, ranks and scores
	Tokenize Scope = "tokenize" // tokens and their count
	Models   Scope = "models"   // which models there are
	Manage   Scope = "manage"   // load, unload, pull, copy and delete models
	Files    Scope = "files"    // files, batches, and other jobs and what they leave
	Metrics  Scope = "metrics"  // the server's own measurements
)

// Scopes are all that a key can be limited to.
func Scopes() []Scope { return []Scope{Generate, Embed, Tokenize, Models, Manage, Files, Metrics} }

// Form is the way in which a credential came.
type Form string

const (
	Bearer     Form = "bearer"    // Authorization: Bearer, of most clients
	Token      Form = "token"     // Authorization: Token, of older ones
	Basic      Form = "basic"     // Authorization: Basic: the password, else the user's name
	KeyHeader  Form = "x-api-key" // X-Api-Key
	APIKey     Form = "api-key"   // Api-Key
	GoogKey    Form = "x-goog-api-key"
	KeyQuery   Form = "key"  // the query's key
	Signature4 Form = "aws4" // Authorization: AWS4-HMAC-SHA256; Secret is the access key's id
)

// Credential is a proof of identity as the request carries it.
type Credential struct {
	Form    Form
	Secret  string
	Request *http.Request // for forms that sign the request, as Signed checks it
	Body    func() ([]byte, error)
}

// Key is who calls, and what they may do.
type Key struct {
	ID     string // for logs; never the secret
	Tenant string // whose cached prefixes may be used
	Scopes []Scope
	Limits Limits
	Models []string       // names, or patterns as chat.Matches reads them; empty: every model
	From   []netip.Prefix // where callers are; empty: anywhere

	// Spent are the tokens of the day that SpentOn is in, as far as they have been written down, by all
	// servers of the same keys; for Limits.Daily.
	Spent   int
	SpentOn time.Time
}

// may reports whether the key is good for a scope; no scopes means all.
func (k *Key) may(s Scope) bool {
	for _, own := range k.Scopes {
		if own == s {
			return true
		}
	}
	return len(k.Scopes) == 0
}

// reaches reports whether the key is good for a caller at an address with a port.
func (k *Key) reaches(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return len(k.From) == 0
	}
	addr := at.Addr().Unmap().WithZone("")
	return len(k.From) == 0 || slices.ContainsFunc(k.From, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// MayUse reports whether the key is good for a model by this name; a call's Backend lets it use the model by the others too.
func (k *Key) MayUse(model string) bool {
	for _, pattern := range k.Models {
		if pattern == model || chat.Matches(pattern, model) {
			return true
		}
	}
	return len(k.Models) == 0
}

// Keys knows who may call.
type Keys interface {
	// Any reports whether there is a key at all. While there is none, callers on this machine need
	// none.
	Any() bool
	// Lookup gives the key that a credential proves, ErrKey if it proves none. It takes the same time
	// for a wrong secret whatever part of it is right.
	Lookup(ctx context.Context, c Credential) (*Key, error)
}

// OneKey is the Keys of a server with one secret that may do everything. Who signs requests takes
// OneKeyID for the access key's id and the secret for the secret access key.
func OneKey(secret string) Keys { return oneKey{sha256.Sum256([]byte(secret)), secret} }

// OneKeyID is the access key's id that goes with OneKey.
const OneKeyID = "galerne"

type oneKey struct {
	hash   [sha256.Size]byte
	secret string
}

func (k oneKey) Any() bool { return true }

func (k oneKey) Lookup(_ context.Context, c Credential) (*Key, error) {
	if c.Form == Signature4 {
		if c.Secret != OneKeyID {
			return nil, ErrKey
		}
		if err := c.Signed(k.secret, time.Now()); err != nil {
			return nil, err
		}
		return &Key{ID: "server"}, nil
	}
	got := sha256.Sum256([]byte(c.Secret))
	if subtle.ConstantTimeCompare(got[:], k.hash[:]) != 1 {
		return nil, ErrKey
	}
	return &Key{ID: "server"}, nil
}

// Signed checks that the request was signed with a secret, and lately.
func (c *Credential) Signed(secret string, now time.Time) error {
	err := signature.Check(c.Request, c.Body, secret, now)
	if errors.Is(err, signature.ErrSignature) {
		return ErrKey.Because("%w", err)
	}
	return err
}

// credentials lists every proof that a request carries, in the forms that official clients use.
func credentials(c *Call) []Credential {
	r := c.R
	var out []Credential
	add := func(f Form, secret string) {
		if secret != "" {
			out = append(out, Credential{f, secret, r, c.Body})
		}
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
		add(Bearer, rest)
	case "token":
		add(Token, rest)
	case "basic":
		if text, err := base64.StdEncoding.DecodeString(rest); err == nil {
			user, password, _ := strings.Cut(string(text), ":")
			if password == "" {
				password = user
			}
			add(Basic, password)
		}
	case "aws4-hmac-sha256":
		_, id, _ := strings.Cut(rest, "Credential=")
		id, _, _ = strings.Cut(id, "/")
		add(Signature4, id)
	}
	add(KeyHeader, r.Header.Get("X-Api-Key"))
	add(APIKey, r.Header.Get("Api-Key"))
	add(GoogKey, r.Header.Get("X-Goog-Api-Key"))
	if strings.Contains(r.URL.RawQuery, "key=") {
		add(KeyQuery, r.URL.Query().Get("key"))
	}
	return out
}

// authorise is the one door: every route passes it before its body is read, but for a
// body that a key has signed. Without an error the
// caller may use the scope; the Key says who it is, nil where nobody had to say.
func (s *Server) authorise(c *Call, scope Scope) (*Key, error) {
	if scope == Open {
		return nil, nil
	}
	if s.o.Keys == nil || !s.o.Keys.Any() {
		return nil, s.keyless(c.R)
	}
	found := credentials(c)
	refused := ErrKey.Because("api: the key is not one of this server's")
	for _, one := range found {
		key, err := s.o.Keys.Lookup(c.R.Context(), one)
		switch {
		case err == nil && !key.reaches(c.R.RemoteAddr):
			return nil, ErrScope.Because("api: this key is not for callers at your address, %s", host(c.R.RemoteAddr))
		case err == nil && !key.may(scope):
			return nil, ErrScope.Because("api: this key is not for %q: use a key with that scope", scope)
		case err == nil:
			return key, nil
		case !errors.Is(err, ErrKey):
			return nil, err
		}
		errors.As(err, &refused) // a good key that has ended says so
	}
	if len(found) == 0 {
		return nil, ErrKey.Because("api: a key is needed: send it as \"Authorization: Bearer KEY\"")
	}
	return nil, refused
}

// host is an address without its port.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// keyless decides while no key exists: this machine may call, and web pages that it served; a page
// from elsewhere may not, by whatever name it reaches us.
func (s *Server) keyless(r *http.Request) error {
	if s.o.NoAuth {
		return nil
	}
	if !loopback(r.RemoteAddr) {
		return ErrKey.Because("api: no key has been made, and without one only this machine may call: make one, or start the server with --no-auth")
	}
	if !loopback(r.Host) {
		return ErrOrigin.Because("api: the server is called %q by the request: without a key, call it by localhost or its address", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.originAllowed(origin) {
		return foreign(origin)
	}
	return nil
}

// loopback reports whether a host, with or without a port, is this machine.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Origin reads the origin of web pages as people write it, and gives it as browsers send it. "*" is every
// origin, and "null" is that of pages from files.
func Origin(text string) (string, error) {
	if text == "*" || text == "null" {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is no origin: write scheme and host, as in https://chat.example.org or http://localhost:3000, or * for all", text)
	}
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			origin = strings.TrimSuffix(origin, port)
		}
	}
	switch {
	case strings.Contains(u.Host, "*"):
		return "", fmt.Errorf("%q is no origin: name each host, or write * for all", text)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }):
		return "", fmt.Errorf("%q is not what browsers send: write its host in ASCII, which begins with xn--", text)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", fmt.Errorf("%q is more than an origin, which is of all pages of a host: write %s", text, origin)
	}
	return origin, nil
}

// originAllowed reports whether web pages of an origin may call: those of this machine, and those
// that Options name.
func (s *Server) originAllowed(origin string) bool {
	for _, o := range s.o.Origins {
		if o == "*" || strings.EqualFold(o, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && loopback(u.Host)
}

// foreign is the error of web pages whose origin may not call. Their browser keeps it from them; people find it
// in the browser's tools.
func foreign(origin string) error {
	if origin == "null" {
		return ErrOrigin.Because("api: web pages that were opened from a file may not call: open them by an address of this machine (python3 -m http.server --bind 127.0.0.1)")
	}
	return ErrOrigin.Because("api: web pages of %s may not call: start the server with --origin %s", origin, origin)
}

// preflight reports whether a browser asks if a page may call.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// cors answers what browsers ask before they call, and says what their pages may read. It reports
// whether the request was such a question and has been answered.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || !s.originAllowed(origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	if !preflight(r) {
		h.Set("Access-Control-Expose-Headers", "*, Retry-After, Retry-After-Ms, X-Request-Id, Request-Id, X-Should-Retry, X-Ranked-By")
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
