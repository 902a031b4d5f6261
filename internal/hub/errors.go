package hub

import "github.com/galerne-ai/galerne/internal/fault"

var (
	// ErrUnknown: no model, file or source of that name.
	ErrUnknown = fault.New(fault.NotFound, "model_unknown", "hub: unknown model")
	// ErrNotPulled: the model is known and not on this machine.
	ErrNotPulled = fault.New(fault.NotFound, "model_not_pulled", "hub: the model is not on this machine")
	// ErrName: a name, path or source that cannot be used as one.
	ErrName = fault.New(fault.Invalid, "model_name", "hub: bad name")
	// ErrSource: a source that is written wrongly, or of a kind that is not supported.
	ErrSource = fault.New(fault.Invalid, "model_source", "hub: bad source")
	// ErrCatalogue: a catalogue file contradicts its format.
	ErrCatalogue = fault.New(fault.Invalid, "catalogue_invalid", "hub: bad catalogue")
	// ErrFetch: no source gave the file.
	ErrFetch = fault.New(fault.Unavailable, "model_fetch", "hub: the model could not be fetched")
	// ErrDenied: the source wants a key, or another one.
	ErrDenied = fault.New(fault.Denied, "model_denied", "hub: the source refuses")
	// ErrDigest: the bytes are not those that the catalogue or the source promised.
	ErrDigest = fault.New(fault.Unavailable, "model_digest", "hub: wrong digest")
	// ErrSize: the file is longer or shorter than promised.
	ErrSize = fault.New(fault.Unavailable, "model_size", "hub: wrong size")
	// ErrModel: what came is not a model that can be opened.
	ErrModel = fault.New(fault.Unavailable, "model_unreadable", "hub: not a model")
	// ErrFull: the disk has no room.
	ErrFull = fault.New(fault.Unavailable, "disk_full", "hub: the disk is full")
	// ErrStore: the data folder cannot be read or written, or is damaged.
	ErrStore = fault.New(fault.Unavailable, "model_store", "hub: the data folder cannot be used")
)
