package replicate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const (
	tellEvery   = 500 * time.Millisecond // between two words about output, as Replicate has it
	tellTries   = 5
	tellTimeout = 10 * time.Second // for one try
	tellFor     = 40 * time.Second // for all of the end's
)

// checkWebhook refuses an address that could never be told.
func (h *handler) checkWebhook(b *body) error {
	for _, name := range b.Filter {
		if !slices.Contains([]string{"start", "output", "logs", "completed"}, name) {
			return invalid("webhook_events_filter", "webhook_events_filter has %.40q: it must have some of start, output, logs and completed", name)
		}
	}
	if b.Webhook == "" {
		return nil
	}
	if h.Send == nil {
		return unsupported("webhook", "webhook is not possible: this server tells nobody; start it with --webhook HOST, or ask for the prediction until it has ended")
	}
	u, err := url.Parse(b.Webhook)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("webhook", "webhook is %.200q: it must be the address of a web server", b.Webhook)
	}
	if h.May == nil {
		return nil
	}
	return h.May(u)
}

// secret answers GET /v1/webhooks/default/secret.
func (h *handler) secret(c *api.Call) error {
	return c.JSON(http.StatusOK, map[string]string{"key": "whsec_" + base64.StdEncoding.EncodeToString(h.Secret)})
}

// tell sends a prediction as it is to its webhook, if that wants to know. The end is told again until
// somebody has heard it, a few times; all else is told once.
func (h *handler) tell(ctx context.Context, k *jobs.Kept, event string) {
	var rec record
	if err := json.Unmarshal(k.Answer, &rec); err != nil || rec.Webhook == "" || h.Send == nil || len(rec.Filter) > 0 && !slices.Contains(rec.Filter, event) {
		return
	}
	p, err := h.render(ctx, k)
	if err != nil {
		return
	}
	if event != "completed" {
		p.Output = rec.Output // what it has said may not be in the store yet
	}
	text, err := api.Encode(p)
	if err != nil {
		return
	}
	id := "msg_" + api.NewID()
	for try := range tellTries {
		if h.send(ctx, rec.Webhook, id, text) || event != "completed" {
			return
		}
		select {
		case <-h.Ending:
			return
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond << (2 * try)): // 0.1, 0.4, 1.6, 6.4 s
		}
	}
}

// tellEnd tells the webhook of a prediction's end, once that stands in the store.
func (h *handler) tellEnd(k *jobs.Kept) {
	h.Telling.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellFor)
		defer cancel()
		for {
			now, err := h.Store.Kept(ctx, k.Owner, dialect, k.ID)
			if err != nil {
				return
			}
			if now.Ended() {
				h.tell(ctx, &now, "completed")
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(look):
			}
		}
	})
}

// send makes one try. A 4xx answer is an answer: asking again would get the same.
func (h *handler) send(ctx context.Context, address, id string, text []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	at := strconv.FormatInt(time.Now().Unix(), 10)
	header := http.Header{"Content-Type": {"application/json"}, "Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {"v1," + sign(h.Secret, id, at, text)}}
	status, err := h.Send(ctx, address, header, text)
	return err == nil && status < 500 && status != http.StatusTooManyRequests
}

// sign is the signature of what a webhook is told, as Svix has it: HMAC-SHA256 over id, time and body.
func sign(secret []byte, id, at string, text []byte) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(id + "." + at + "."))
	m.Write(text)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}
