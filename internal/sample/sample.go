// Package sample answers: which token comes next, given the network's logits?
//
// The order of the rules is that of Hugging Face's generation: bias, repetition, frequency and presence
// penalties, mask, temperature, top-k, top-p, min-p, typical-p, then a draw. Draws depend on the seed,
// the choice and the position alone, so that the same request draws the same whatever runs beside it.
package sample

import (
	"cmp"
	"errors"
	"math"
	"math/bits"

	"github.com/galerne-ai/galerne/internal/fault"
)

// Options of one answer. The zero value is greedy.
type Options struct {
	Temperature float32 // 0: always the most likely token
	TopK        int     // keep the k most likely; 0: all
	TopP        float32 // keep the most likely whose probabilities reach p; 0 or 1: all
	MinP        float32 // keep those at least p times as likely as the most likely; 0: all
	TypicalP    float32 // keep the most typical whose probabilities reach p; 0 or 1: all
	Repetition  float32 // divides positive, multiplies negative logits of tokens seen; 0 or 1: none
	Frequency   float32 // subtracted for each time that a token was generated
	Presence    float32 // subtracted once for a token that was generated
	LastN       int     // tokens that Repetition looks back on; 0: all
	Bias        map[int32]float32
	Seed        uint64
}

var (
	// ErrOption: an option is outside its range. Its Param names it.
	ErrOption = fault.New(fault.Invalid, "invalid_sampling", "sample: option out of range")
	// ErrLogits: the network gave no number.
	ErrLogits = fault.New(fault.Internal, "bad_logits", "sample: the network's logits are not numbers")
	// ErrNothing: the mask allows no token.
	ErrNothing = fault.New(fault.Internal, "nothing_allowed", "sample: no token is allowed here")
)

// Validate names the first option that is out of range.
func (o *Options) Validate(vocab int) error {
	finite := func(v float32) bool { return v-v == 0 }
	for _, c := range []struct {
		name     string
		v        float32
		ok       bool
		sentence string
	}{
		{"temperature", o.Temperature, o.Temperature >= 0 && o.Temperature <= 100, "0 to 100"},
		{"top_k", float32(o.TopK), o.TopK >= 0, "0 or more"},
		{"top_p", o.TopP, o.TopP >= 0 && o.TopP <= 1, "0 to 1"},
		{"min_p", o.MinP, o.MinP >= 0 && o.MinP <= 1, "0 to 1"},
		{"typical_p", o.TypicalP, o.TypicalP >= 0 && o.TypicalP <= 1, "0 to 1"},
		{"repetition_penalty", o.Repetition, o.Repetition >= 0 && finite(o.Repetition), "above 0"},
		{"frequency_penalty", o.Frequency, finite(o.Frequency), "a number"},
		{"presence_penalty", o.Presence, finite(o.Presence), "a number"},
	} {
		if !c.ok {
			return ErrOption.Because("sample: %s is %v: it must be %s", c.name, c.v, c.sentence).At(c.name)
		}
	}
	for id, v := range o.Bias {
		if id < 0 || int(id) >= vocab || v != v {
			return ErrOption.Because("sample: logit_bias of token %d is %v: tokens 0 to %d and numbers are possible", id, v, vocab-1).At("logit_bias")
		}
	}
	return nil
}

// Mask restricts what may come next: constrained decoding. One that allows nothing may say why in a
// method Err() error. One that leaves out tokens of the form that is asked for, because an answer's last
// tokens must end it, tells what the form allows in a method Wide() []uint64.
type Mask interface {
	// Allowed gives a bit for each token, 64 a word, or nil if everything is allowed.
	Allowed() []uint64
	// Advance tells which token was taken.
	Advance(id int32) error
}

// Wide is what a mask's form allows, where it tells that it leaves tokens of it out; else nil.
func Wide(m Mask) []uint64 {
	if w, ok := m.(interface{ Wide() []uint64 }); ok {
		return w.Wide()
	}
	return nil
}

// Why is why a mask allows nothing, where it tells; else nil.
func Why(m Mask) error {
	if e, ok := m.(interface{ Err() error }); ok {
		return e.Err()
	}
	return nil
}

// Candidate is a token with its log-probability.
type Candidate struct {
	ID      int32
	Logprob float32
}

// Sampler chooses the tokens of one answer. It is used by one goroutine at a time.
type Sampler struct {
	o      Options
	mask   Mask
	choice int
	drawn  int
	seen   []int32         // prompt and answer, for Repetition
	count  map[int32]int32 // of the answer's tokens
	logits []float32       // adjusted copy
	heap   []weighted
	sums   []float64 // of the weights of stretches of the vocabulary
	some   [stretch]float32
	narrow []uint64 // what the mask allows, while that is less than the form does
	cut    bool     // a token that the form allows was drawn, and not allowed
}

type weighted struct {
	id int32
	x  float32 // adjusted logit
	p  float64 // weight: exp(x/T - max)
}

// New starts an answer. Choice tells several answers to one request apart; mask may be nil.
func New(o Options, choice int, prompt []int32, mask Mask) *Sampler {
	s := &Sampler{o: o, choice: choice, mask: mask}
	if o.Repetition != 0 && o.Repetition != 1 {
		s.seen = append(s.seen, prompt...)
	}
	if o.Frequency != 0 || o.Presence != 0 {
		s.count = map[int32]int32{}
	}
	return s
}

// Next chooses a token and remembers it. logits [vocabulary] are left as they are.
func (s *Sampler) Next(logits []float32) (int32, error) {
	x := s.adjust(logits)
	id, err := s.pick(x)
	if s.narrow != nil && err == nil && s.narrow[id>>6]>>(id&63)&1 == 0 {
		s.cut = true
		forbid(x, s.narrow)
		id, err = s.pick(x)
	}
	if errors.Is(err, ErrNothing) {
		err = cmp.Or(Why(s.mask), err)
	}
	if err != nil {
		return 0, err
	}
	s.drawn++
	if s.count != nil {
		s.count[id]++
	}
	if s.seen != nil {
		s.seen = append(s.seen, id)
	}
	if s.mask != nil {
		return id, s.mask.Advance(id)
	}
	return id, nil
}

// Cut reports whether the answer would have gone on otherwise, had its mask not had to end it. An answer
// that was not cut is the same, token for token, as without that.
func (s *Sampler) Cut() bool { return s.cut }

// adjust applies bias, penalties and mask to a copy, or gives the logits themselves where there are none.
func (s *Sampler) adjust(logits []float32) []float32 {
	var allowed []uint64
	if s.mask != nil {
		allowed = s.allowed()
	}
	if len(s.o.Bias) == 0 && s.seen == nil && s.count == nil && allowed == nil {
		return logits
	}
	s.logits = append(s.logits[:0], logits...)
	x := s.logits
	for id, v := range s.o.Bias {
		x[id] += v
	}
	s.repeat(x, logits)
	for id, n := range s.count {
		x[id] -= float32(n)*s.o.Frequency + s.o.Presence
	}
	if allowed != nil {
		forbid(x, allowed)
	}
	return x
}

// allowed is what the form allows; what the mask leaves of it, if that is less, is in narrow.
func (s *Sampler) allowed() []uint64 {
	allowed := s.mask.Allowed()
	s.narrow = nil
	if wide := Wide(s.mask); wide != nil {
		s.narrow = allowed
		return wide
	}
	return allowed
}

// forbid takes the tokens away that are not allowed, 64 at a time: of most words all or none are.
func forbid(x []float32, allowed []uint64) {
	least := float32(math.Inf(-1))
	for i := 0; i<<6 < len(x); i++ {
		row := x[i<<6 : min((i+1)<<6, len(x))]
		switch no := ^allowed[i]; no {
		case 0:
		case ^uint64(0):
			for j := range row {
				row[j] = least
			}
		default:
			for ; no != 0; no &= no - 1 {
				if j := bits.TrailingZeros64(no); j < len(row) {
					row[j] = least
				}
			}
		}
	}
}

// repeat penalizes each token seen once, however often it was seen.
func (s *Sampler) repeat(x, logits []float32) {
	if s.seen == nil {
		return
	}
	seen := s.seen
	if s.o.LastN > 0 && len(seen) > s.o.LastN {
		seen = seen[len(seen)-s.o.LastN:]
	}
	for _, id := range seen {
		v := logits[id] + s.o.Bias[id]
		if v > 0 {
			v /= s.o.Repetition
		} else {
			v *= s.o.Repetition
		}
		x[id] = v
	}
}

// pick chooses by the options, of adjusted logits. Only tokens that can be drawn are listed, and where no rule asks for more than a sum
// over all, not even those.
func (s *Sampler) pick(x []float32) (int32, error) {
	best, err := greatest(x)
	if err != nil || s.o.Temperature == 0 || s.o.TopK == 1 {
		return best, err
	}
	most := x[best]
	k, p, least := s.o.TopK, float64(s.o.TopP), float64(s.o.MinP)
	typical := s.o.TypicalP > 0 && s.o.TypicalP < 1
	switch {
	case k > 0 && k < len(x):
		s.likeliest(x, k, most)
		if p > 0 && p < 1 {
			s.heap = nucleus(s.heap, p)
		}
	case p > 0 && p < 1:
		s.nucleusOf(x, p, most)
	case least > 0:
		s.collect(x, most, min(negligible, roundedUp-math.Log(least)))
	case typical || s.o.Temperature < cold:
		s.collect(x, most, negligible)
	default:
		return s.drawOf(x, best), nil
	}
	if least > 0 {
		s.atLeast(least)
	}
	if typical {
		s.typical()
	}
	return s.draw(), nil
}

const (
	// negligible is how far below the largest a scaled logit still counts: all of 2^20 tokens below it
	// would add less than 2^20·e^-60 < 1e-19, which a float64 sum of 1 or more does not hold.
	negligible = 60
	// roundedUp is more than what rounding does to a logit's distance.
	roundedUp = 1e-3
	// cold is a temperature at which few tokens are not negligible.
	cold = 0.05
)

// greatest is the token of the largest logit, of equals the first.
func greatest(x []float32) (int32, error) {
	best, most := int32(-1), float32(math.Inf(-1))
	for id := above(x, 0, most); id < len(x); id = above(x, id+1, most) {
		v := x[id]
		if v != v {
			return 0, ErrLogits.Because("sample: the logit of token %d is not a number: the model or its file is broken", id)
		}
		if v > most {
			best, most = int32(id), v
		}
	}
	switch {
	case best < 0:
		return 0, ErrNothing
	case most > math.MaxFloat32:
		return 0, ErrLogits.Because("sample: the logit of token %d is infinite: the model or its file is broken", best)
	}
	return best, nil
}

// above is the first place from id on that may have more than most, or no number; len(x) if there is none. It goes by eights, since nearly
// all have less.
func above(x []float32, id int, most float32) int {
	for len(x)-id >= 8 {
		y := (*[8]float32)(x[id:])
		if !(y[0] <= most && y[1] <= most && y[2] <= most && y[3] <= most && y[4] <= most && y[5] <= most && y[6] <= most && y[7] <= most) {
			break
		}
		id += 8
	}
	return id
}

// weight is e^((v-most)/T).
func (s *Sampler) weight(v, most float32) float64 {
	return math.Exp(float64(v-most) / float64(s.o.Temperature))
}

// collect lists the tokens whose scaled logits are at most so far below the largest, in order of id.
func (s *Sampler) collect(x []float32, most float32, far float64) {
	s.heap = s.heap[:0]
	floor := most - float32(far*float64(s.o.Temperature))
	less := math.Nextafter32(floor, float32(math.Inf(-1)))
	for id := above(x, 0, less); id < len(x); id = above(x, id+1, less) {
		if v := x[id]; v >= floor {
			s.heap = append(s.heap, weighted{int32(id), v, s.weight(v, most)})
		}
	}
}

// draw takes a token by its weight; one number decides.
func (s *Sampler) draw() int32 {
	var total float64
	for _, c := range s.heap {
		total += c.p
	}
	u := uniform(s.o.Seed, uint64(s.choice), uint64(s.drawn)) * total
	for _, c := range s.heap {
		u -= c.p
		if u < 0 {
			return c.id
		}
	}
	return s.heap[len(s.heap)-1].id
}

// uniform is a number in [0, 1) from a counter: SplitMix64 over seed, choice and position
// (Steele et al. 2014, https://doi.org/10.1145/2714064.2660195).
func uniform(seed, choice, position uint64) float64 {
	z := mix(mix(mix(seed)^choice) + position*0x9E3779B97F4A7C15)
	return float64(z>>11) / (1 << 53)
}

func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
