package serve

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWhatControlGroupsLeave: files in the system's cache count as used there, and are no loss to who wants memory.
func TestWhatControlGroupsLeave(t *testing.T) {
	for name, c := range map[string]struct {
		own   string
		files map[string]string
		left  int64 // of the tightest; -1: no limit
	}{
		"a container's own group": {"0::/\n", map[string]string{"memory.max": "1000\n", "memory.current": "700\n",
			"memory.stat": "anon 100\nfile 600\ninactive_file 350\nactive_file 150\n"}, 800},
		"a service's, below one without a limit": {"0::/system.slice/galerne.service\n", map[string]string{
			"system.slice/galerne.service/memory.max": "1000\n", "system.slice/galerne.service/memory.current": "300\n",
			"system.slice/memory.max": "max\n", "system.slice/memory.current": "900\n"}, 700},
		"a group above is tighter": {"0::/a/b\n", map[string]string{"a/b/memory.max": "1000\n", "a/b/memory.current": "0\n",
			"a/memory.max": "500\n", "a/memory.current": "100\n"}, 400},
		"of the first version": {"9:name=systemd:/x\n4:memory:/x\n0::/\n", map[string]string{"memory/x/memory.limit_in_bytes": "1000\n",
			"memory/x/memory.usage_in_bytes": "900\n", "memory/x/memory.stat": "active_file 1\ntotal_inactive_file 300\ntotal_active_file 200\n"}, 600},
		"no limit": {"0::/\n", map[string]string{"memory.max": "max\n", "memory.current": "5\n"}, -1},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		least := int64(-1)
		for _, g := range groups([]byte(c.own), root) {
			if left, ok := g.left(); ok && (least < 0 || left < least) {
				least = left
			}
		}
		if least != c.left {
			t.Errorf("%s: %d bytes are left, want %d", name, least, c.left)
		}
	}
}
