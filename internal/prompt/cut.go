package prompt

import "strings"

// forced ends an answer that a grammar forced to call and that was cut. What is held in front of a call's
// arguments is of the call's form and no text: it is a call, without arguments, if only one tool can be meant.
func (r *Reader) forced() {
	written := r.held
	switch r.state {
	case inHead, inWhole:
		written = r.opener + r.held
	case inText:
	case inTail:
		written = ""
	default:
		return
	}
	r.held, r.state = "", inText
	written = strings.TrimLeft(written, blank)
	var meant []string
	for name := range r.tools {
		if head := r.form.Open + r.form.Head(name); written != "" && (strings.HasPrefix(head, written) || strings.HasPrefix(written, head)) {
			meant = append(meant, name)
		}
	}
	if len(meant) == 1 {
		r.giveCall(meant[0], "")
	}
}
