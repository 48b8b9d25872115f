package node

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// unknownBytes stands for the memory of a machine that does not tell.
const unknownBytes = 4 << 30

// ownBytes is what a node needs beside its tasks.
const ownBytes = 256 << 20

// MachineBytes returns the memory that this process may use at most: the limit
// of its control group, or of one above it, or else what the machine has.
func MachineBytes() int64 { return machineBytes(os.DirFS("/")) }

// machineBytes is MachineBytes over a root file system.
func machineBytes(root fs.FS) int64 {
	total := meminfo(root)
	if total <= 0 {
		total = unknownBytes
	}
	for _, file := range limitFiles(root) {
		b, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 { // "max" is none
			total = min(total, n)
		}
	}
	return total
}

// limitFiles returns the files that may bound the memory of this process: of
// its control group and all above it, in both versions of control groups. Where
// a container sees its own group as the root, that is the last.
func limitFiles(root fs.FS) []string {
	groups := map[string]string{"sys/fs/cgroup/memory": "/", "sys/fs/cgroup": "/"}
	b, _ := fs.ReadFile(root, "proc/self/cgroup") // without it the roots remain
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		switch {
		case len(fields) != 3:
		case fields[0] == "0" && fields[1] == "":
			groups["sys/fs/cgroup"] = fields[2]
		case strings.Contains(","+fields[1]+",", ",memory,"):
			groups["sys/fs/cgroup/memory"] = fields[2]
		}
	}
	var files []string
	for mount, group := range groups {
		name := "memory.max"
		if mount == "sys/fs/cgroup/memory" {
			name = "memory.limit_in_bytes"
		}
		for at := path.Clean("/" + group); ; at = path.Dir(at) {
			files = append(files, path.Join(mount, at, name))
			if at == "/" {
				break
			}
		}
	}
	return files
}

// meminfo returns the machine's memory, or 0.
func meminfo(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil || kib > math.MaxInt64>>10 {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// heapLimit returns the memory from which on the collector works harder: what
// tasks may use and the node's own, and no more than nineteen twentieths of what
// there is, since the rest of the process is outside the heap.
func heapLimit(taskBytes, machine int64) int64 {
	return min(taskBytes+ownBytes, machine/20*19)
}
