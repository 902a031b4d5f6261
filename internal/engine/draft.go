package engine

import "time"

// drafter guesses an answer's next tokens from the sequence's own text: where its last tokens stood
// before, what followed then may follow again (prompt lookup: Saxena 2023,
// https://github.com/apoorvumang/prompt-lookup-decoding). Guesses are checked by the network in the same
// step, so that they change the speed alone.
//
// It follows one place of the text, token by token, as long as the answer repeats what stands there, and looks for another
// when it does not. How often the place was right it learns from every token, guessed or not.
type drafter struct {
	last   []int32 // by hash of the last 1 to draftKey tokens: the position behind their last occurrence
	seen   int     // tokens that are known, of which the places are in last
	at     int     // the place: position of the token that may come next; 0 for none
	same   int     // tokens before it that are those before the end, draftSame at most
	odds   [len(draftOdds)]odds
	price  float64 // of a guess of the last step, in tokens
	credit float64 // what guesses may cost, in tokens
}

const (
	draftKey  = 3 // tokens that are looked for; then fewer
	draftSame = 32
	draftMost = 15
	// What wrong guesses may cost: an answer's time grows by a hundredth and by draftCredit tokens, and by what earlier
	// guesses have saved.
	draftCredit, draftEarned = 0.3, 0.01
)

// draftOdds is how often the place is right, by the number of tokens that are the same: 1, 2, 3, up to 5, 8, 16, and more.
// Answers begin with it, as if it had been seen draftTries times, and learn better.
var draftOdds = [...]float64{0.2, 0.4, 0.6, 0.75, 0.8, 0.9, 0.95}

const (
	draftTries  = 4
	draftForget = 0.9
)

// odds counts, late tries most.
type odds struct{ right, tried float64 }

func (o *odds) learn(right bool) {
	o.right, o.tried = draftForget*o.right, draftForget*o.tried+1
	if right {
		o.right++
	}
}

// odd is the odds after so many tokens that are the same.
func (d *drafter) odd(same int) *odds {
	switch {
	case same <= 3:
		return &d.odds[same-1]
	case same <= 5:
		return &d.odds[3]
	case same <= 8:
		return &d.odds[4]
	case same <= 16:
		return &d.odds[5]
	}
	return &d.odds[6]
}

// guess gives at most n tokens that may follow tokens, as many as pay in a step of that offer; it may return none. tokens
// are those of the calls before and what followed; the result is a part of them.
func (d *drafter) guess(tokens []int32, n int, o *offer) []int32 {
	d.follow(tokens)
	if d.at == 0 {
		return nil
	}
	d.price = o.each / o.seconds * o.tokens
	n = min(n, len(tokens)-d.at, int(d.credit/d.price))
	guessed, chance := 0, 1.0
	for guessed < n {
		odd := d.odd(min(d.same+guessed, draftSame))
		if chance *= odd.right / odd.tried; chance*o.seconds <= o.each*o.tokens {
			break
		}
		guessed++
		o.tokens += chance
		o.seconds += o.each
	}
	return tokens[d.at : d.at+guessed]
}

// learn tells how many of guessed tokens were right in a step.
func (d *drafter) learn(guessed, right int) {
	d.credit += draftEarned + float64(right) - float64(guessed)*d.price
}

// follow takes in the tokens that are new.
func (d *drafter) follow(tokens []int32) {
	d.reserve(tokens)
	for d.seen < len(tokens) {
		if d.at > 0 {
			right := tokens[d.at] == tokens[d.seen]
			d.odd(d.same).learn(right)
			if right {
				d.at, d.same = d.at+1, min(d.same+1, draftSame)
			} else {
				d.at = 0
			}
		}
		d.seen++
		if d.at == 0 {
			d.look(tokens[:d.seen])
		}
		d.index(tokens[:d.seen])
	}
}

// reserve makes room for the places of all tokens; those of a prompt are not followed.
func (d *drafter) reserve(tokens []int32) {
	if len(d.last) >= 4*len(tokens) {
		return
	}
	if d.last == nil {
		d.credit = draftCredit
		for i, right := range draftOdds {
			d.odds[i] = odds{right * draftTries, draftTries}
		}
		d.seen = len(tokens) - 1
	}
	size := 256
	for size < 8*len(tokens) {
		size *= 2
	}
	d.last = make([]int32, size)
	for i := 1; i <= d.seen; i++ {
		d.index(tokens[:i])
	}
}

// look finds the last place where the text was as it ends now.
func (d *drafter) look(tokens []int32) {
	end := len(tokens)
	for n := min(draftKey, end); n > 0; n-- {
		at := int(d.last[d.slot(tokens[end-n:])])
		if at == 0 {
			continue
		}
		same := 0
		for same < min(at, draftSame) && tokens[at-1-same] == tokens[end-1-same] {
			same++
		}
		if same >= n {
			d.at, d.same = at, same
			return
		}
	}
}

// index keeps the place behind the last of tokens.
func (d *drafter) index(tokens []int32) {
	end := len(tokens)
	for n := 1; n <= min(draftKey, end); n++ {
		d.last[d.slot(tokens[end-n:])] = int32(end)
	}
}

func (d *drafter) slot(key []int32) int {
	h := uint32(2166136261)
	for _, t := range key {
		h = (h ^ uint32(t)) * 16777619
	}
	return int((h ^ h>>15) & uint32(len(d.last)-1))
}

// price is how long steps took of late that computed answers alone, by their rows: the straight line through them, the late
// ones weighing most.
type price struct{ steps, rows, seconds, square, product float64 }

const (
	priceForget = 0.99
	// priceFirst is what another row costs of a step's time while nothing is known, as if so many squares of rows had been seen.
	priceFirst, priceSquares = 0.2, 3
	priceLeast               = 0.01 // whatever the line says
)

func (p *price) learn(took time.Duration, rows int) {
	for _, sum := range []*float64{&p.steps, &p.rows, &p.seconds, &p.square, &p.product} {
		*sum *= priceForget
	}
	n, t := float64(rows), took.Seconds()
	p.steps++
	p.rows += n
	p.seconds += t
	p.square += n * n
	p.product += n * t
}

// offer is what a step would be as it stands: tokens that are likely, and seconds, to which another row adds each.
type offer struct{ tokens, seconds, each float64 }

// offer is that of a step of so many answers, of one token each.
func (p *price) offer(answers int) offer {
	if p.seconds == 0 {
		return offer{float64(answers), 1, priceFirst}
	}
	rows, seconds := p.rows/p.steps, p.seconds/p.steps
	each := (p.product - p.rows*seconds + priceSquares*priceFirst*seconds/rows) / (p.square - p.rows*rows + priceSquares)
	each = max(each, priceLeast*seconds/rows)
	return offer{float64(answers), max(seconds+each*(float64(answers)-rows), each*float64(answers)), each}
}
