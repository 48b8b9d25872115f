package parquet_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inChild says that the test runs in a process of its own.
const inChild = "TROUPE_PARQUET_CHILD"

// All awkward and broken files, one after the other in one process, stay below
// 1 GiB of memory, as the operating system counts it.
func TestNastyFilesTakeLittleMemory(t *testing.T) {
	t.Parallel()
	files := nastyFiles(t)
	if os.Getenv(inChild) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNastyFilesTakeLittleMemory$", "-test.v")
		cmd.Env = append(os.Environ(), inChild+"=1", "GOMEMLIMIT=1GiB")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		peak := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(out)
		if peak == nil {
			t.Skip("this system does not tell the peak of a process's memory")
		}
		kib, err := strconv.Atoi(string(peak[1]))
		require.NoError(t, err)
		require.Less(t, kib, 1<<20)
		return
	}
	for _, n := range files {
		if strings.HasSuffix(n.File, "/") {
			continue
		}
		_, _, err := tryAll(readData(t, "nasty", n.File), n.File)
		switch n.Expect {
		case "read":
			require.NoError(t, err)
		case "fail":
			requireRefusal(t, err, n.File)
		}
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		fmt.Printf("%s", status)
	}
}
