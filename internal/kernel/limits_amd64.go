//go:build !purego

package kernel

func integersAVX2(n int)
func integersAVX512(n int)
func floatsAVX2(n int)
func floatsAVX512(n int)

// limits are the loops of the best unit that is used.
func limits() (integers, floats limit) {
	switch {
	case useAVX512:
		return limit{integersAVX512, 2 * 12 * 64}, limit{floatsAVX512, 2 * 12 * 16}
	case useAVX2:
		return limit{integersAVX2, 2 * 12 * 32}, limit{floatsAVX2, 2 * 12 * 8}
	}
	return limit{}, limit{}
}
