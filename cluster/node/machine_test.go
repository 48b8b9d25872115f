package node

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestTheMemoryOfAMachineIsTheSmallestOfItsLimits(t *testing.T) {
	t.Parallel()
	const gib = int64(1) << 30
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	bytes := func(n int64) *fstest.MapFile { return file(fmt.Sprintln(n)) }
	machine := file("MemFree: 1 kB\nMemTotal:       16777216 kB\n")
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"a machine without limits":              {fstest.MapFS{"proc/meminfo": machine}, 16 * gib},
		"one that does not tell":                {fstest.MapFS{}, unknownBytes},
		"nonsense":                              {fstest.MapFS{"proc/meminfo": file("MemTotal: much kB\n")}, unknownBytes},
		"a container that sees its own root":    {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": bytes(2 * gib)}, 2 * gib},
		"no limit":                              {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 16 * gib},
		"a limit above what there is":           {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": bytes(64 * gib)}, 16 * gib},
		"a unit of systemd":                     {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/system.slice/troupe.service\n"), "sys/fs/cgroup/system.slice/troupe.service/memory.max": bytes(3 * gib)}, 3 * gib},
		"a group above that is smaller":         {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": bytes(3 * gib), "sys/fs/cgroup/a/memory.max": bytes(gib)}, gib},
		"the first version":                     {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("8:pids:/x\n4:cpu,memory:/docker/1\n0::/\n"), "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": bytes(5 * gib)}, 5 * gib},
		"the first version, seen as the root":   {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("4:memory:/docker/1\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": bytes(5 * gib)}, 5 * gib},
		"the first version's word for no limit": {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 16 * gib},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, machineBytes(c.files))
		})
	}
}

func TestTasksHaveHalfOfTheMachine(t *testing.T) {
	t.Parallel()
	require.Equal(t, MachineBytes()/2, DefaultConfig().MemoryBytes)
}

func TestTheHeapIsBoundedByTasksAndByTheMachine(t *testing.T) {
	t.Parallel()
	const gib = int64(1) << 30
	require.Equal(t, 4*gib+ownBytes, heapLimit(4*gib, 8*gib))
	require.Equal(t, 8*gib/20*19, heapLimit(8*gib, 8*gib), "people who give everything to tasks do not meet the killer of processes")
}
