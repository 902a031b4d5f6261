package serve

import "strings"

// stops finds stop strings in a text that comes in pieces, also across their borders.
type stops struct {
	strings []string
	keep    bool   // the stop string stays in the text
	held    string // text that could be the beginning of a stop string
}

// add takes the next piece and gives what is certainly text. When a stop string is met, met is that
// string and the text ends before it (or behind it, with keep).
func (s *stops) add(piece string) (text, met string) {
	if len(s.strings) == 0 {
		return piece, ""
	}
	all := s.held + piece
	s.held = ""
	if at, stop := s.first(all); stop != "" {
		if s.keep {
			at += len(stop)
		}
		return all[:at], stop
	}
	cut := len(all) - s.tail(all)
	s.held = all[cut:]
	return all[:cut], ""
}

// flush gives what was held: no stop string came of it.
func (s *stops) flush() string {
	held := s.held
	s.held = ""
	return held
}

// first is the leftmost stop string in text; of those at one place the longest.
func (s *stops) first(text string) (at int, stop string) {
	at = len(text)
	for _, c := range s.strings {
		if i := strings.Index(text, c); i >= 0 && (i < at || i == at && len(c) > len(stop)) {
			at, stop = i, c
		}
	}
	return at, stop
}

// tail is the length of text's longest end that begins a stop string.
func (s *stops) tail(text string) int {
	longest := 0
	for _, c := range s.strings {
		for n := min(len(c)-1, len(text)); n > longest; n-- {
			if strings.HasSuffix(text, c[:n]) {
				longest = n
				break
			}
		}
	}
	return longest
}
