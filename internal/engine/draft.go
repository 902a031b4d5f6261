package engine

// drafter guesses an answer's next tokens from the sequence's own text: where its last tokens stood
// before, what followed then may follow again (prompt lookup: Saxena 2023,
// https://github.com/apoorvumang/prompt-lookup-decoding). Guesses are checked by the network in the same
// step, so that they change the speed alone.
type drafter struct {
	heads   []int32 // by hash of draftKey tokens: the position behind their last occurrence
	indexed int     // positions in heads
	next    int     // tokens to guess the next time
	misses  int     // guesses in a row that were all wrong
	rest    int     // steps without a guess, after misses
}

const (
	draftKey   = 3 // tokens that must have stood before: of two, most guesses are wrong
	draftFirst = 3 // tokens of a first guess
	draftMost  = 15
	// restMost bounds the pause after misses. A missed guess of three costs about half a step more;
	// pauses that double keep that below 2 % of an answer that never repeats anything.
	restMost = 256
)

// guess gives at most n tokens that may follow tokens; it may return none. The result is a part of tokens.
func (d *drafter) guess(tokens []int32, n int) []int32 {
	d.index(tokens)
	if d.rest > 0 {
		d.rest--
		return nil
	}
	if d.next == 0 {
		d.next = draftFirst
	}
	n = min(n, d.next)
	if len(tokens) <= draftKey || n < 1 {
		return nil
	}
	key := tokens[len(tokens)-draftKey:]
	at := int(d.heads[d.slot(key)])
	if at < draftKey || at >= len(tokens) {
		return nil
	}
	for i, t := range tokens[at-draftKey : at] {
		if t != key[i] {
			return nil
		}
	}
	return tokens[at:min(at+n, len(tokens))]
}

// learn tells how many of guessed tokens were right.
func (d *drafter) learn(guessed, right int) {
	switch {
	case guessed == 0:
	case right == guessed:
		d.next, d.misses = min(2*d.next, draftMost), 0
	case right > 0:
		d.next, d.misses = right+1, 0
	default:
		d.next = draftFirst
		d.misses++
		d.rest = min(4<<d.misses, restMost)
		d.misses = min(d.misses, 8)
	}
}

// index adds the positions up to the last token, which is the key itself and has nothing behind it.
func (d *drafter) index(tokens []int32) {
	if len(d.heads) < 2*len(tokens) {
		size := 256
		for size < 4*len(tokens) {
			size *= 2
		}
		d.heads, d.indexed = make([]int32, size), draftKey
	}
	for ; d.indexed < len(tokens); d.indexed++ {
		d.heads[d.slot(tokens[d.indexed-draftKey:d.indexed])] = int32(d.indexed)
	}
}

func (d *drafter) slot(key []int32) int {
	h := uint32(2166136261)
	for _, t := range key {
		h = (h ^ uint32(t)) * 16777619
	}
	return int((h ^ h>>15) & uint32(len(d.heads)-1))
}
