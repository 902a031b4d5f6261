package kernel

import "github.com/galerne-ai/galerne/internal/fault"

var (
	errShape  = fault.New(fault.Invalid, "bad_matrix_shape", "kernel: impossible matrix shape")
	errMemory = fault.New(fault.Unavailable, "out_of_memory", "kernel: out of memory")
)
