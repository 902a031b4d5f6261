//go:build purego || !amd64

package kernel

// Rows that are read have no way of their own here: see reading_amd64.go.
const (
	useReading = false
	readRows   = mostPartRows
)

type readScratch struct{}

func busyReading(*Matrix, int) int64 { return 0 }

func newReadScratch() *readScratch { return nil }

func (*readScratch) forget()                      {}
func (*readScratch) expect(*partPlace, partPlace) {}

func roundRow([]float32, []byte)              {}
func read(*form, *dotCall, int, *readScratch) {}
