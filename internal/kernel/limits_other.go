//go:build purego || !(amd64 || arm64)

package kernel

func limits() (integers, floats limit) { return limit{}, limit{} }
