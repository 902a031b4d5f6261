package serve

import (
	"bytes"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// FreeMemory is how many bytes this process may still take: what the system calls available, or less
// where control groups set a limit.
func FreeMemory() int64 {
	free := int64(8 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		free = int64(info.Freeram) * int64(info.Unit)
	}
	if v, ok := numberIn("/proc/meminfo", "MemAvailable:"); ok {
		free = v << 10
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	for _, g := range groups(own, "/sys/fs/cgroup") {
		if left, ok := g.left(); ok {
			free = min(free, left)
		}
	}
	return free
}

// group is a control group's folder, and what its files say: its limit, what it takes, and how much of that are files,
// which the system drops when the memory is needed.
type group struct {
	dir, limit, used string
	files            [2]string // labels in memory.stat
}

// groups are the control groups whose limits hold for a process, from the text of its /proc/self/cgroup: of both
// versions, its own and all above. In a container only the uppermost may be there, whatever its name outside.
func groups(own []byte, root string) (out []group) {
	for line := range bytes.Lines(own) {
		parts := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 3)
		if len(parts) < 3 {
			continue
		}
		g := group{root, "memory.max", "memory.current", [2]string{"\nactive_file", "\ninactive_file"}}
		switch string(parts[1]) {
		case "":
		case "memory":
			g = group{path.Join(root, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", [2]string{"\ntotal_active_file", "\ntotal_inactive_file"}}
		default:
			continue
		}
		for top, at := g.dir, path.Clean("/"+string(parts[2])); ; at = path.Dir(at) {
			g.dir = path.Join(top, at)
			out = append(out, g)
			if at == "/" {
				break
			}
		}
	}
	return out
}

// left is what a group may still take; not ok: it has no limit, or is not there.
func (g *group) left() (bytes int64, ok bool) {
	limit, limited := numberIn(path.Join(g.dir, g.limit), "")
	used, known := numberIn(path.Join(g.dir, g.used), "")
	for _, label := range g.files {
		files, _ := numberIn(path.Join(g.dir, "memory.stat"), label)
		used -= files
	}
	return limit - used, limited && known
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
