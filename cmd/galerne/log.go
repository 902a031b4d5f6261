package main

import (
	"log/slog"
	"strings"
)

// logger writes lines for machines as JSON, and lines for people, in which bytes have the units that they have
// everywhere else in the program.
func (f *serveFlags) logger(a *app) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.Log)) // kong has checked it
	if f.LogJSON {
		return slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level, ReplaceAttr: sized}))
}

// sized makes memory_bytes=880649472 memory_size="880.6 MB".
func sized(_ []string, x slog.Attr) slog.Attr {
	if what, ok := strings.CutSuffix(x.Key, "bytes"); ok && x.Value.Kind() == slog.KindInt64 {
		return slog.String(what+"size", size(x.Value.Int64()))
	}
	return x
}
