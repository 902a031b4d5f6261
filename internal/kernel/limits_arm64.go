//go:build !purego

package kernel

func integersNEON(n int)
func fmaNEON(n int)

// limits are the loops of the units that are used.
func limits() (integers, floats limit) {
	if useDot {
		integers = limit{integersNEON, 2 * 16 * 16}
	}
	return integers, limit{fmaNEON, 2 * 16 * 4}
}

func busy(*Matrix, int) int64 { return 0 } // nobody counted
