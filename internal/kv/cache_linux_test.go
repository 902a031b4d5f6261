package kv

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/galerne-ai/galerne/internal/kernel"
)

// resident says of each page of b whether it is in memory.
func resident(t *testing.T, b []byte) []byte {
	t.Helper()
	pages := make([]byte, (len(b)+4095)/4096)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
		t.Fatal(e)
	}
	return pages
}

func TestPagesAreThereBeforeTheyAreWritten(t *testing.T) {
	layout := kernel.CacheLayout{KVHeads: 2, HeadDim: 64, BlockTokens: 32}
	c, err := NewCache(layout, 3, 100<<20/layout.BlockBytes())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Rest() // nothing is used yet
	written := bytes.Repeat([]byte{7}, 100)
	copy(c.Layer(2)[3<<20:], written)
	until := func(what string, from, to int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			missing := 0
			for i := range 3 {
				missing += bytes.Count(resident(t, c.Layer(i)[from:to]), []byte{0})
			}
			if missing == 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d pages are not there", what, missing)
			}
		}
	}
	c.Ready(0)
	until("the first block", 0, ahead)
	if n := bytes.Count(resident(t, c.Layer(1)[2*ahead:]), []byte{1}); n > 0 {
		t.Errorf("%d pages far behind what is used are there", n)
	}
	if n := bytes.Count(resident(t, c.Layer(1)[len(c.Layer(1))-largePage:]), []byte{1}); n > 0 {
		t.Errorf("%d pages are there that nobody asked for", n)
	}
	c.Rest()
	until("what is used next, at rest", 0, min(len(c.Layer(0)), restAhead/3/largePage*largePage))
	last := int32(c.Blocks - 1)
	for b := range last + 1 {
		c.Ready(b)
	}
	until("the last block", 0, len(c.Layer(0)))
	if !bytes.Equal(c.Layer(2)[3<<20:][:100], written) {
		t.Error("what was written is gone")
	}
}

func TestCloseDoesNotWaitForPages(t *testing.T) {
	layout := kernel.CacheLayout{KVHeads: 2, HeadDim: 64, BlockTokens: 32}
	c, err := NewCache(layout, 200, 4<<20/layout.BlockBytes())
	if err != nil {
		t.Fatal(err)
	}
	c.Ready(0)
	c.Close()
	if n := len(c.ready); n > 1 || !c.closed {
		t.Errorf("%d left", n)
	}
	c.Close() // twice is once
}
