package weights

import (
	"errors"
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/fault"
)

// The reasons why weights cannot be opened or read.
var (
	ErrNotFound = fault.New(fault.NotFound, "weights_not_found", "weights: no such file")
	ErrFormat   = fault.New(fault.Unavailable, "weights_format", "weights: not a file of weights that this program reads")
	ErrType     = fault.New(fault.Unavailable, "weights_type_unsupported", "weights: tensor type is not supported")
	ErrCorrupt  = fault.New(fault.Unavailable, "weights_corrupt", "weights: the file contradicts itself")
	ErrLimit    = fault.New(fault.Unavailable, "weights_limit", "weights: the file is beyond a limit")
	ErrChanged  = fault.New(fault.Unavailable, "weights_changed", "weights: the file changed while it was in use")
	ErrRead     = fault.New(fault.Unavailable, "weights_read", "weights: the file cannot be read")
)

// maxProblems bounds how many problems one error spells out; the rest are counted.
const maxProblems = 16

// problems gathers everything that is wrong with a file's tensors, for one error.
type problems struct {
	list []error
	more int
}

func (p *problems) add(err error) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, err)
	} else {
		p.more++
	}
}

// full tells a loop over a hostile file that more problems would only be counted.
func (p *problems) full() bool { return len(p.list) >= maxProblems }

// err is nil without problems, the problem itself if there is one, else a list of them.
// It matches the sentinels of all problems that it spells out.
func (p *problems) err(path string) error {
	switch {
	case len(p.list) == 0:
		return nil
	case len(p.list) == 1:
		return p.list[0]
	}
	var tail string
	if p.more > 0 {
		tail = fmt.Sprintf("\nand %d more", p.more)
	}
	joined := errors.Join(p.list...)
	return &listed{
		whole: ErrCorrupt.Because("weights: %s has %d problems:\n%s%s", path, len(p.list)+p.more,
			strings.ReplaceAll(joined.Error(), "weights: ", "  "), tail),
		all: p.list,
	}
}

// listed is several problems in one error.
type listed struct {
	whole *fault.Error
	all   []error
}

func (l *listed) Error() string { return l.whole.Error() }

// Unwrap gives every problem, and so every problem's sentinel.
func (l *listed) Unwrap() []error { return append([]error{l.whole}, l.all...) }
