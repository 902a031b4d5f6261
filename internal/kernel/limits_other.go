//go:build purego || !(amd64 || arm64)

package kernel

func limits() (integers, floats limit) { return limit{}, limit{} }

func busy(*Matrix, int) int64 { return 0 } // nobody counted
