package node

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// unknownBytes stands for the memory of a machine that does not tell.
const unknownBytes = 4 << 30

// machineBytes returns the memory that this process may use at most: the limit
// of its control group, or else that of the machine.
func machineBytes() int64 {
	total := unknownBytesOr(meminfo())
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && n < total {
			total = n
		}
	}
	return total
}

func unknownBytesOr(n int64) int64 {
	if n <= 0 {
		return unknownBytes
	}
	return n
}

// meminfo returns the machine's memory, or 0.
func meminfo() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // it was only read
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
