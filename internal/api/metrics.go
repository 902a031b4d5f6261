package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the door measures. Labels have few values: surfaces, routes and statuses, never
// names that callers choose.
type metrics struct {
	active   prometheus.Gauge
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	first    *prometheus.HistogramVec
	between  *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	failed   *prometheus.CounterVec
	slow     *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) *metrics {
	seconds := []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	m := &metrics{
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "galerne_http_requests_active", Help: "Requests under way."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_http_requests_total",
			Help: "Requests answered, by surface, route and status (499: the caller left first)."}, []string{"surface", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_http_request_duration_seconds",
			Help: "From the request's arrival to the answer's last byte.", Buckets: seconds}, []string{"surface", "route"}),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_time_to_first_token_seconds",
			Help: "From the request's arrival to the first part of its answer.", Buckets: seconds}, []string{"surface"}),
		between: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_time_between_tokens_seconds",
			Help: "Between the parts of an answer.", Buckets: seconds}, []string{"surface"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_tokens_total",
			Help: "Tokens read (prompt) and made (answer)."}, []string{"surface", "kind"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_answers_failed_total",
			Help: "Answers that ended in an error after they had begun, by its code."}, []string{"surface", "code"}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_slow_readers_total",
			Help: "Streams that were cut because nobody read them."}, []string{"surface"}),
	}
	if r != nil {
		r.MustRegister(m.active, m.requests, m.duration, m.first, m.between, m.tokens, m.failed, m.slow)
	}
	return m
}

func (m *metrics) request(surface, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(surface, route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(surface, route).Observe(took.Seconds())
}
