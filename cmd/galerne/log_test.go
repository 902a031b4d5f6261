package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLogsForPeopleHaveBytesInUnitsAndLogsForMachinesInNumbers(t *testing.T) {
	f := func(machine bool, want ...string) {
		t.Helper()
		var b bytes.Buffer
		log := (&serveFlags{Log: "info", LogJSON: machine}).logger(&app{err: &b})
		log.Info("loaded", "model", "m", "memory_bytes", int64(880649472), "kv_bytes", int64(512), "context", 2048)
		log.Info("request", slog.Int64("bytes", 1234), "key", "spare_bytes")
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%q is missing:\n%s", w, b.String())
			}
		}
	}
	f(false, ` memory_size="880.6 MB" kv_size="512 B" context=2048`, ` size="1.2 kB" key=spare_bytes`)
	f(true, `"memory_bytes":880649472,"kv_bytes":512,`, `"bytes":1234,"key":"spare_bytes"`)
}
