package serve

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// FreeMemory is how many bytes this process may still take: what the system calls available, or less
// where a control group sets a limit.
func FreeMemory() int64 {
	free := int64(8 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		free = int64(info.Freeram) * int64(info.Unit)
	}
	if v, ok := numberIn("/proc/meminfo", "MemAvailable:"); ok {
		free = v << 10
	}
	if limit, ok := numberIn("/sys/fs/cgroup/memory.max", ""); ok {
		used, _ := numberIn("/sys/fs/cgroup/memory.current", "")
		free = min(free, limit-used)
	}
	return free
}

// numberIn is the number behind a label in a small file of the system's.
func numberIn(path, label string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	if label != "" {
		at := bytes.Index(text, []byte(label))
		if at < 0 {
			return 0, false
		}
		text = text[at+len(label):]
	}
	fields := bytes.Fields(text)
	if len(fields) == 0 {
		return 0, false
	}
	v, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return v, err == nil
}
