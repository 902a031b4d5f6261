package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/galerne-ai/galerne/internal/hub"
)

// TestProgressStaysInItsLine: what is wider than the terminal goes on in the next line, where nothing writes over it.
func TestProgressStaysInItsLine(t *testing.T) {
	names := []string{"SmolLM2-135M-Instruct.Q4_1.gguf", "m.gguf", strings.Repeat("very-long-", 20) + "Q4_K_M.gguf", "模型の重み-Q8_0.gguf"}
	for _, width := range []int{20, 40, 80, 120} {
		for _, name := range names {
			var out bytes.Buffer
			b := &bar{out: &out, width: func() int { return width }}
			for done := int64(0); done <= 100e6; done += 10e6 {
				b.last = time.Time{} // as if time had passed
				b.show(hub.Progress{Phase: hub.Fetching, File: name, Done: done, Total: 100e6, Rate: 12.3e6})
			}
			b.show(hub.Progress{Phase: hub.Packaging, File: name, Done: 5e6})
			b.clear()
			all := out.String()
			for _, line := range strings.Split(all, "\r") {
				if wide := uniseg.StringWidth(line); wide >= width {
					t.Errorf("%d columns, %s: a line of %d:\n%s", width, name, wide, line)
				}
			}
			if strings.Contains(all, "\n") || !strings.HasSuffix(all, " \r") {
				t.Errorf("%d columns, %s: it does not clear its line: %q", width, name, all[max(0, len(all)-100):])
			}
			if width >= 80 && (!strings.Contains(all, "50.0 MB of 100.0 MB") || !strings.Contains(all, " 50%") || !strings.Contains(all, "4s left")) {
				t.Errorf("%d columns, %s: it does not say how far it is:\n%s", width, name, strings.ReplaceAll(all, "\r", "\n"))
			}
		}
	}
}
