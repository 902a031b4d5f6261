package api

import (
	"bytes"
	"encoding/json"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Surface is one vendor's API. It is served below /Name, and at the root paths that the vendor's
// own clients use.
type Surface struct {
	Name   string
	Marks  []Mark
	Routes []Route
	// Error writes an error as the vendor does, with its status; Retry-After is set already.
	Error func(c *Call, f *Failure)
	// Head adds the vendor's own headers to an answer, nil if there are none. It is called once,
	// before the first byte.
	Head   func(c *Call, h http.Header)
	Absent []Absent
}

// Route is one thing that a surface serves.
type Route struct {
	Method  string
	Pattern string // as http.ServeMux reads it; segments are unescaped one by one
	Verb    string // what the path ends in beside that, such as :generateContent; no pattern can say it
	Scope   Scope
	// Handle answers. An error that it returns is rendered by the surface.
	Handle func(c *Call) error
	// Why is why the path is not served, and what to do instead: for paths that another surface may
	// serve, or whose clients deserve more than to be told that there is nothing. Without a Handle of
	// its own the route says so with ErrRoute.
	Why string

	// Body and Fields are for docs/apis.md: a value of the struct that the body is decoded into, whose
	// json tags are the fields that are served, and what Decode is given beside it.
	Body   any
	Fields []Field
	Note   string // what a reader of the docs must know
}

// name is the route for logs and measurements.
func (rt *Route) name() string { return rt.Pattern + rt.Verb }

// Absent is an endpoint that the vendor has and this server has not, for docs/apis.md.
type Absent struct {
	Method, Pattern string
	Why             string
}

// Mark is what a vendor's client is known by at a path that several surfaces serve: a header, or a field
// at the top of a JSON body that no other of them has.
// Order: marks of any header but User-Agent, then those of User-Agent, then fields, then the order of surfaces.
type Mark struct {
	Header string
	Prefix string // of the header's value, without regard to case; "" means any value
	Field  string // in place of Header
}

func (m Mark) matches(h http.Header) bool {
	for _, v := range h.Values(m.Header) {
		if len(v) >= len(m.Prefix) && strings.EqualFold(v[:len(m.Prefix)], m.Prefix) {
			return true
		}
	}
	return false
}

// mounted is a surface with its routes.
type mounted struct {
	*Surface
	mux   *http.ServeMux
	verbs map[string][]*Route // by pattern, the routes that differ in their Verb alone
}

func (s *Server) mount(sf *Surface) *mounted {
	m := &mounted{sf, http.NewServeMux(), map[string][]*Route{}}
	for i := range sf.Routes {
		rt := &sf.Routes[i]
		if rt.Handle == nil {
			rt.Handle = func(*Call) error { return ErrRoute.Because("api: %s", rt.Why) }
		}
		pattern := rt.Method + " " + rt.Pattern
		if rt.Verb != "" {
			m.verbs[pattern] = append(m.verbs[pattern], rt)
			if len(m.verbs[pattern]) > 1 {
				continue
			}
		}
		m.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			own := rt
			if rt.Verb != "" {
				own = m.verb(pattern, r)
			}
			s.run(w, r, sf, own)
		})
	}
	return m
}

// verb gives the route of a pattern whose verb the path ends in, nil if there is none.
func (m *mounted) verb(pattern string, r *http.Request) *Route {
	for _, rt := range m.verbs[pattern] {
		if strings.HasSuffix(r.URL.Path, rt.Verb) {
			return rt
		}
	}
	return nil
}

// serves reports whether a route of the surface takes the request.
func (m *mounted) serves(r *http.Request) bool {
	_, pattern := m.mux.Handler(r)
	return pattern != "" && (len(m.verbs[pattern]) == 0 || m.verb(pattern, r) != nil)
}

// ServeHTTP finds the surface and the route of a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cors(w, r) {
		return
	}
	r = cleaned(r)
	if m, inner := s.find(w, r); m != nil {
		m.mux.ServeHTTP(w, inner)
		return
	}
	// Nothing takes it: an error in the words of whoever seems to call.
	m := byMark(r, s.surfaces)
	if m == nil {
		m = s.surfaces[0]
	}
	if p, _ := s.prefixed(r); p != nil {
		m = p
	}
	rt := &Route{Handle: func(c *Call) error { return s.noRoute(c) }}
	s.run(w, r, m.Surface, rt)
}

// find gives the surface that serves a request and the request as its routes see it: by prefix,
// else the only one whose paths have it, else by its marks, else the preferred one. Without a w the body
// is not looked at.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (*mounted, *http.Request) {
	if s.own.serves(r) {
		return s.own, r
	}
	if m, inner := s.prefixed(r); m != nil {
		if inner = undoubled(inner); m.serves(inner) {
			return m, inner
		}
	}
	r = undoubled(r)
	var able []*mounted
	for _, m := range s.surfaces {
		if m.serves(r) {
			able = append(able, m)
		}
	}
	if len(able) == 0 {
		return nil, nil
	}
	m := byMark(r, able)
	if m == nil && len(able) > 1 && w != nil {
		m, r = s.byField(w, r, able)
	}
	if m == nil {
		m = able[0]
	}
	return m, r
}

// byMark chooses among surfaces, which are in order of preference, by the request's headers; nil if they
// tell nothing.
func byMark(r *http.Request, able []*mounted) *mounted {
	for _, agent := range []bool{false, true} {
		for _, m := range able {
			for _, mark := range m.Marks {
				if mark.Header != "" && (mark.Header == "User-Agent") == agent && mark.matches(r.Header) {
					return m
				}
			}
		}
	}
	return nil
}

// looked is how much of a body is looked at to tell whose it is: nobody has shown a key yet.
const looked = 64 << 10

// byField chooses by the fields at the top of a JSON body; nil if they tell nothing. The request that it
// gives has its whole body still.
func (s *Server) byField(w http.ResponseWriter, r *http.Request, able []*mounted) (*mounted, *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || strings.HasPrefix(kind, "multipart/") || r.Header.Get("Content-Encoding") != "" {
		return nil, r
	}
	owner := map[string]*mounted{}
	for _, m := range able {
		for _, mark := range m.Marks {
			if mark.Field != "" {
				owner[mark.Field] = m
			}
		}
	}
	if len(owner) == 0 {
		return nil, r
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.BodyTimeout)) // not every reader has deadlines
	begin, err := io.ReadAll(io.LimitReader(r.Body, looked))
	out := new(http.Request)
	*out = *r
	out.Body = &resumed{io.MultiReader(bytes.NewReader(begin), broken{err}, r.Body), r.Body}
	for name := range topFields(begin) {
		if m := owner[name]; m != nil {
			return m, out
		}
	}
	return nil, out
}

// resumed is a body whose beginning was read already.
type resumed struct {
	io.Reader
	io.Closer
}

// broken gives the error that ended the first look at a body; nil is none.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

// topFields gives the names at the top of a JSON object, as far as it goes.
func topFields(data []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		d := json.NewDecoder(bytes.NewReader(data))
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return
		}
		for d.More() {
			name, err := d.Token()
			if text, ok := name.(string); err != nil || !ok || !yield(text) {
				return
			}
			var value json.RawMessage
			if d.Decode(&value) != nil {
				return
			}
		}
	}
}

// prefixed gives the surface whose name the path begins with, and the request without it.
func (s *Server) prefixed(r *http.Request) (*mounted, *http.Request) {
	for _, m := range s.surfaces {
		if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/"+m.Name); ok && (rest == "" || rest[0] == '/') {
			if rest == "" {
				rest = "/"
			}
			return m, withPath(r, rest)
		}
	}
	return nil, nil
}

// noRoute says that a path is unknown, or for which methods it is known; and to browsers which ask for a page
// that may not call, that it may not, whatever the path.
func (s *Server) noRoute(c *Call) error {
	if preflight(c.R) {
		return foreign(c.R.Header.Get("Origin"))
	}
	var methods []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		r := c.R.Clone(c.R.Context())
		r.Method = method
		if m, _ := s.find(nil, r); m != nil {
			methods = append(methods, method)
		}
	}
	if len(methods) > 0 {
		c.W.Header().Set("Allow", strings.Join(methods, ", "))
		return ErrMethod.Because("api: %s is not possible at %s: use %s", c.R.Method, c.R.URL.Path, strings.Join(methods, " or "))
	}
	// Clients add /chat/completions to their base URL, and people forget that it ends in /v1.
	if m, _ := s.find(nil, withPath(c.R, "/v1"+path.Clean("/"+c.R.URL.EscapedPath()))); m != nil {
		return ErrRoute.Because("api: nothing is served at %s %s: did you mean /v1%s?", c.R.Method, c.R.URL.Path, path.Clean("/"+c.R.URL.Path))
	}
	// People open the base URL that they were told.
	models := withPath(c.R, path.Join(c.R.URL.EscapedPath(), "models"))
	models.Method = http.MethodGet
	if m, _ := s.find(nil, models); m != nil {
		return ErrRoute.Because("api: nothing is served at %s %s: %s is a base URL: %s, for one, is below it", c.R.Method, c.R.URL.Path, c.R.URL.Path, models.URL.Path)
	}
	return ErrRoute.Because("api: nothing is served at %s %s", c.R.Method, c.R.URL.Path)
}

// cleaned is the request with its path as it was meant: no empty or dot segments, no slash at the
// end. Slashes that are escaped stay what they are, parts of a name.
func cleaned(r *http.Request) *http.Request {
	p := r.URL.EscapedPath()
	if clean := path.Clean("/" + p); clean != p {
		return withPath(r, clean)
	}
	return r
}

// undoubled takes a base URL with /v1, given to a client that adds it, for one without.
func undoubled(r *http.Request) *http.Request {
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/v1/"); ok {
		return withPath(r, "/v1/"+rest)
	}
	return r
}

// withPath is the request with another path, given in escaped form.
func withPath(r *http.Request, escaped string) *http.Request {
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return r
	}
	out := new(http.Request)
	*out = *r
	u := *r.URL
	u.Path, u.RawPath = plain, escaped
	out.URL = &u
	return out
}
