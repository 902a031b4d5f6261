package zoo

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrArchitecture: no network of this program fits the file.
	ErrArchitecture = fault.New(fault.Unavailable, "architecture_unsupported", "zoo: architecture not supported")
	// ErrConfig: a number that the network's shape needs is missing or impossible.
	ErrConfig = fault.New(fault.Unavailable, "bad_model_config", "zoo: the model's configuration cannot be used")
	// ErrTensors: tensors are missing or misshapen.
	ErrTensors = fault.New(fault.Unavailable, "bad_model_tensors", "zoo: the model's tensors do not fit its configuration")
	// ErrClosed: a network was closed before all of it was packed.
	ErrClosed = fault.New(fault.Unavailable, "network_closed", "zoo: the network was closed while it was packed")
)
