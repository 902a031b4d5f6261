package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/outbound"
)

// How Hugging Face serves files: https://huggingface.co/docs/hub/api and huggingface_hub's
// file_download.py. A HEAD request on the resolve address tells, before it redirects to a store of
// large files, the commit (X-Repo-Commit) and a large file's SHA-256 and size (X-Linked-*).

// errAgain marks a failure that another try may mend.
var errAgain = fault.New(fault.Busy, "model_fetch_again", "hub: the download broke")

const (
	triesInARow    = 6   // without a byte more than before
	triesUnreached = 2   // without a connection
	triesAtAll     = 200 // a server that drops every connection cannot keep us for ever
)

func (p *puller) resolveURL(s Source) string {
	revision := s.Revision
	if commit := p.commits[s.Repo+"@"+s.Revision]; commit != "" {
		revision = commit // a branch may move while files are read
	}
	var segments []string
	for _, part := range strings.Split(s.Path, "/") {
		segments = append(segments, url.PathEscape(part))
	}
	return fmt.Sprintf("%s/%s/resolve/%s/%s", strings.TrimRight(p.h.o.HubURL, "/"), s.Repo, url.PathEscape(revision), strings.Join(segments, "/"))
}

func (p *puller) request(ctx context.Context, method, address string) (*http.Request, error) {
	if p.h.o.Client == nil {
		return nil, ErrFetch.Because("hub: there is no network client")
	}
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil || r.URL.Host == "" || r.URL.Scheme != "https" && r.URL.Scheme != "http" {
		return nil, ErrFetch.Because("hub: the address of Hugging Face is %q (HF_ENDPOINT): write it as %s", p.h.o.HubURL, HuggingFace)
	}
	if p.h.o.HubToken != "" {
		r.Header.Set("Authorization", "Bearer "+p.h.o.HubToken)
	}
	return r, nil
}

// describeHF asks for a file's commit, size and digest.
func (p *puller) describeHF(ctx context.Context, s Source) (r remote, err error) {
	err = p.retry(ctx, s.Repo, nil, func() error {
		r, err = p.head(ctx, s)
		return err
	})
	return r, err
}

func (p *puller) head(ctx context.Context, s Source) (remote, error) {
	r := remote{bytes: -1}
	address := p.resolveURL(s)
	for range 6 {
		q, err := p.request(ctx, http.MethodHead, address)
		if err != nil {
			return r, err
		}
		resp, err := p.h.o.Client.DoHere(q)
		if err != nil {
			return r, again(err)
		}
		resp.Body.Close()
		linked := resp.Header.Get("X-Linked-Etag") != "" || resp.Header.Get("X-Linked-Size") != ""
		if resp.StatusCode/100 == 3 && !linked { // a renamed repository
			next, err := q.URL.Parse(resp.Header.Get("Location"))
			if err == nil && next.Host == q.URL.Host && next.Scheme == q.URL.Scheme {
				address = next.String()
				continue
			}
			return r, nil // elsewhere: the download itself will follow, without our token
		}
		switch resp.StatusCode {
		case http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return r, nil // a mirror that knows GET only
		}
		if resp.StatusCode/100 > 3 || resp.StatusCode < 200 {
			return r, p.refused(s, resp)
		}
		return p.readHead(s, resp), nil
	}
	return r, ErrFetch.Because("hub: %s redirects in circles", s.Repo)
}

func (p *puller) readHead(s Source, resp *http.Response) remote {
	r := remote{bytes: -1, commit: resp.Header.Get("X-Repo-Commit")}
	if matches(`[0-9a-f]{40}`, r.commit) {
		p.commits[s.Repo+"@"+s.Revision] = r.commit
	} else {
		r.commit = ""
	}
	r.etag = resp.Header.Get("ETag")
	if linked := resp.Header.Get("X-Linked-Etag"); linked != "" {
		r.etag = linked
		if digest := strings.Trim(linked, `"`); validDigest(digest) {
			r.digest = digest
		}
	}
	if len(r.etag) > 200 {
		r.etag = ""
	}
	size := resp.ContentLength
	if resp.StatusCode/100 == 3 {
		size = -1 // of the redirect's own text
	}
	if text := resp.Header.Get("X-Linked-Size"); text != "" {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			size = n
		}
	}
	r.bytes = size
	return r
}

// readHF appends the rest of a file, over as many connections as it takes.
func (p *puller) readHF(ctx context.Context, s Source, r remote, part *partial) error {
	return p.retry(ctx, s.Repo, part, func() error { return p.readRange(ctx, s, r, part) })
}

func (p *puller) readRange(ctx context.Context, s Source, r remote, part *partial) error {
	have := part.bytes - part.start()
	if r.bytes >= 0 && have == r.bytes {
		return nil
	}
	q, err := p.request(ctx, http.MethodGet, p.resolveURL(s))
	if err != nil {
		return err
	}
	if have > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := p.h.o.Client.Do(q)
	if err != nil {
		return again(err)
	}
	defer resp.Body.Close()
	total := resp.ContentLength
	switch {
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		var from int64
		if from, total = contentRange(resp.Header.Get("Content-Range")); from != have {
			return p.startOver(ctx, part, "it answers with another range than was asked for")
		}
	case resp.StatusCode == http.StatusOK:
		if have > 0 { // it knows no ranges
			if err := part.restart(ctx); err != nil {
				return err
			}
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return p.startOver(ctx, part, "it has fewer bytes than are here already")
	default:
		return p.refused(s, resp)
	}
	if r.bytes >= 0 && total >= 0 && total != r.bytes {
		return ErrSize.Because("hub: %s offers %d bytes of %s, %d were promised: refused", q.URL.Host, total, s.Path, r.bytes)
	}
	if _, err := io.Copy(part, resp.Body); err != nil {
		return again(err)
	}
	if want := max(total, r.bytes); want >= 0 && part.bytes-part.start() < want {
		return errAgain.Because("hub: %s ended after %d of %d bytes", q.URL.Host, part.bytes-part.start(), want)
	}
	return nil
}

func (p *puller) startOver(ctx context.Context, part *partial, why string) error {
	if err := part.restart(ctx); err != nil {
		return err
	}
	return errAgain.Because("hub: the source cannot continue: %s", why)
}

// contentRange reads "bytes 5-9/10"; -1 for what it does not tell.
func contentRange(text string) (from, total int64) {
	var to int64
	if n, _ := fmt.Sscanf(text, "bytes %d-%d/%d", &from, &to, &total); n == 3 && from >= 0 && to >= from && total > to {
		return from, total
	}
	if n, _ := fmt.Sscanf(text, "bytes %d-%d/*", &from, &to); n == 2 && from >= 0 && to >= from {
		return from, -1
	}
	return -1, -1
}

// again marks what broke on the way as worth another try. What our own disk or limits say is not.
func again(err error) error {
	if errors.Is(err, outbound.ErrUnreachable) || errors.Is(err, outbound.ErrStalled) {
		return errAgain.Because("%w", err)
	}
	return err
}

// retry repeats what errAgain marks, waiting longer each time unless more came than ever before. A hub to which there never was
// a connection gets one more try.
func (p *puller) retry(ctx context.Context, repo string, part *partial, do func() error) error {
	row := 0
	var most int64
	if part != nil {
		most = part.bytes
	}
	for try := 1; ; try++ {
		err := do()
		p.reached = p.reached || !outbound.NoConnection(err)
		if err == nil || !errors.Is(err, errAgain) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if row++; part != nil && part.bytes > most {
			row, most = 0, part.bytes
		}
		if !p.reached && row >= triesUnreached {
			return ErrFetch.Because("hub: %s cannot be fetched: %w; without a network, bring its files and pull them from where they are (galerne pull file:PATH)", repo, err)
		}
		if row >= triesInARow || try >= triesAtAll {
			return ErrFetch.Because("hub: gave up on %s after %d tries: %w: what came is kept, and the next pull continues", repo, try, err)
		}
		wait := min(p.h.o.RetryWait<<max(row-1, 0), 30*time.Second)
		var f *fault.Error
		if errors.As(err, &f) {
			wait = max(wait, f.RetryAfter)
		}
		p.notice("%v; trying again in %v", err, wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// longestPause is how long a server can make us wait by Retry-After.
const longestPause = 2 * time.Minute

// refused explains a status.
func (p *puller) refused(s Source, resp *http.Response) error {
	what := s.Repo
	if s.Path != "" {
		what += "/" + s.Path
	}
	page := strings.TrimRight(p.h.o.HubURL, "/") + "/" + s.Repo
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized && p.h.o.HubToken == "":
		return ErrDenied.Because("hub: %s is gated, private or does not exist (HTTP 401): see %s, accept its licence there if it asks, and set HF_TOKEN to an access token of yours", what, page)
	case code == http.StatusUnauthorized:
		return ErrDenied.Because("hub: %s does not accept the access token of HF_TOKEN, or does not exist (HTTP 401): see %s", what, page)
	case code == http.StatusForbidden:
		return ErrDenied.Because("hub: access to %s is refused (HTTP 403): accept its licence at %s, and set HF_TOKEN to an access token of that account", what, page)
	case code == http.StatusNotFound:
		return ErrFetch.Because("hub: there is no %s at revision %s (HTTP 404): see %s", what, s.Revision, page)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		pause := time.Duration(0)
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			pause = min(time.Duration(min(n, 3600))*time.Second, longestPause)
		}
		return errAgain.Because("hub: %s answers HTTP %d", resp.Request.URL.Host, code).After(pause)
	}
	return ErrFetch.Because("hub: %s answers HTTP %d for %s", resp.Request.URL.Host, resp.StatusCode, what)
}

const maxListBytes = 16 << 20

// listHF lists the files of a repository at a revision.
func (p *puller) listHF(ctx context.Context, s Source) (files []File, err error) {
	address := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", strings.TrimRight(p.h.o.HubURL, "/"), s.Repo, url.PathEscape(s.Revision))
	var list struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size int64  `json:"size"`
			LFS  *struct {
				SHA256 string `json:"sha256"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	err = p.retry(ctx, s.Repo, nil, func() error {
		q, err := p.request(ctx, http.MethodGet, address)
		if err != nil {
			return err
		}
		resp, err := p.h.o.Client.Do(q)
		if err != nil {
			return again(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return p.refused(s, resp)
		}
		data, err := outbound.ReadAll(resp.Body, maxListBytes)
		if err != nil {
			return again(err)
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return ErrFetch.Because("hub: the list of %s's files cannot be read: %w", s.Repo, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if matches(`[0-9a-f]{40}`, list.SHA) {
		p.commits[s.Repo+"@"+s.Revision] = list.SHA
	}
	for _, f := range list.Siblings {
		file := File{Path: f.Name, About: max(f.Size, 0), SHA256: Unverified} // the file's own HEAD says it exactly
		files = append(files, file)
	}
	return files, nil
}
