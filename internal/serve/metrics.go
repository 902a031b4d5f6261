package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/expert"
)

// metrics counts what the engines do. Labels are models' names, which the operator chose.
type metrics struct {
	answers *prometheus.CounterVec // by model and how they ended
	tokens  *prometheus.CounterVec // by model and kind
	steps   *prometheus.HistogramVec
	batch   *prometheus.HistogramVec
	writing *prometheus.HistogramVec
	server  *Server
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		server: s,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_model_answers_total",
			Help: "Answers by how they ended: done, cancelled, failed."}, []string{"model", "end"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galerne_model_tokens_total",
			Help: "Tokens: prompt (read), cached (of these known from before), answer (written), reasoning (of these)."}, []string{"model", "kind"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_step_seconds",
			Help: "Duration of one step of an engine.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"model"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_batch_tokens",
			Help: "Tokens computed in one step, of prompts and answers.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}, []string{"model"}),
		writing: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galerne_batch_answers",
			Help: "Answers that one step wrote on.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}, []string{"model"}),
	}
	if s.o.Registry != nil {
		s.o.Registry.MustRegister(m.answers, m.tokens, m.steps, m.batch, m.writing, m)
	}
	return m
}

// observer is what an engine calls after each step.
func (m *metrics) observer(model string) func(engine.Step) {
	steps, batch, writing := m.steps.WithLabelValues(model), m.batch.WithLabelValues(model), m.writing.WithLabelValues(model)
	return func(s engine.Step) {
		steps.Observe(s.Took.Seconds())
		batch.Observe(float64(s.Tokens))
		writing.Observe(float64(s.Answers))
	}
}

func (m *metrics) answered(model string, u *chat.Usage) {
	m.answers.WithLabelValues(model, "done").Inc()
	for kind, n := range map[string]int{"prompt": u.Prompt, "cached": u.Cached, "answer": u.Answer, "reasoning": u.Reasoning} {
		m.tokens.WithLabelValues(model, kind).Add(float64(n))
	}
}

func (m *metrics) cancelled(model string) { m.answers.WithLabelValues(model, "cancelled").Inc() }
func (m *metrics) failed(model string)    { m.answers.WithLabelValues(model, "failed").Inc() }

// The gauges are read from the engines when somebody asks.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*use) float64
	part bool // only of models whose experts are not all in memory
}

// use is what a model's engine tells of itself.
type use struct {
	engine.Stats
	packed  bool
	experts *expert.Stats // nil: all weights are in memory
}

func gauges() []gauge {
	g := func(name, help string, kind prometheus.ValueType, read func(*use) float64) gauge {
		return gauge{prometheus.NewDesc(name, help, []string{"model"}, nil), kind, read, false}
	}
	x := func(name, help string, read func(*use) float64) gauge {
		return gauge{prometheus.NewDesc(name, help, []string{"model"}, nil), prometheus.CounterValue, read, true}
	}
	return []gauge{
		x("galerne_experts_wanted_total", "Experts that layers wanted, of a model whose experts are not all in memory.", func(s *use) float64 { return float64(s.experts.Used) }),
		x("galerne_experts_found_total", "Of these, experts that were in memory: the hit rate's upper part.", func(s *use) float64 { return float64(s.experts.Resident) }),
		x("galerne_experts_found_ahead_total", "Of these, experts that had been read ahead for that use.", func(s *use) float64 { return float64(s.experts.Ahead) }),
		x("galerne_experts_evicted_total", "Experts whose memory was given to another.", func(s *use) float64 { return float64(s.experts.Evicted) }),
		x("galerne_experts_read_bytes_total", "Bytes of the model's files that were read for experts.", func(s *use) float64 { return float64(s.experts.BytesRead) }),
		x("galerne_experts_wait_seconds_total", "Time that layers stood still for experts.", func(s *use) float64 { return s.experts.Waited.Seconds() }),
		g("galerne_requests_waiting", "Requests in the queue.", prometheus.GaugeValue, func(s *use) float64 { return float64(s.Waiting) }),
		g("galerne_sequences_running", "Answers under way.", prometheus.GaugeValue, func(s *use) float64 { return float64(s.Running) }),
		g("galerne_kv_tokens", "Tokens whose keys and values can be kept.", prometheus.GaugeValue, func(s *use) float64 { return float64(s.KVTokens) }),
		g("galerne_kv_tokens_used", "Tokens' worth of blocks that running sequences take.", prometheus.GaugeValue, func(s *use) float64 { return float64(s.KVUsed) }),
		g("galerne_prefix_hit_tokens_total", "Prompt tokens that were known from before.", prometheus.CounterValue, func(s *use) float64 { return float64(s.CachedTokens) }),
		g("galerne_guessed_tokens_total", "Tokens that were guessed from an answer's own text, to be checked in the same step.", prometheus.CounterValue, func(s *use) float64 { return float64(s.Drafted) }),
		g("galerne_guessed_right_tokens_total", "Guessed tokens that were right: each saved a step.", prometheus.CounterValue, func(s *use) float64 { return float64(s.Accepted) }),
		g("galerne_model_packed", "1 once all of a loaded model's weights are packed: until then it answers slowly.", prometheus.GaugeValue, func(s *use) float64 {
			if s.packed {
				return 1
			}
			return 0
		}),
		g("galerne_preemptions_total", "Sequences that gave up their memory and went back to the queue.", prometheus.CounterValue, func(s *use) float64 { return float64(s.Preemptions) }),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range gauges() {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	all := m.server.stats()
	for _, g := range gauges() {
		for model, s := range all {
			if !g.part || s.experts != nil {
				out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(&s), model)
			}
		}
	}
}
