// Package weights answers: which tensors and which facts does a model's file hold, and where
// are their bytes? It opens GGUF files (version 2 and 3, also split into parts) and folders of
// safetensors, maps them into memory, and checks every number in them before anyone uses it.
//
// Files are untrusted. Whatever their bytes, [Open] returns a File or an error that names the
// field: it does not panic, and takes no more memory than the file's own size plus 64 MiB.
//
// Tensor bytes stay in the mapping: they cost memory only while they are read, and reading them
// may fault when the file shrinks or the disk fails. [Guard] turns such a fault into an error.
package weights
