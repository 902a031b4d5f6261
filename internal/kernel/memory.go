package kernel

// Allocate gives zeroed memory of the given size outside Go's heap, 64-byte aligned, and a function
// that frees it. The system hands out the pages when they are first written.
func Allocate(bytes int) ([]byte, func(), error) {
	b, free, err := allocate(bytes)
	if err != nil {
		return nil, nil, errMemory.Because("kernel: no memory for %d bytes: %w", bytes, err)
	}
	return b, free, nil
}
