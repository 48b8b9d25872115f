package memory

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbageIsCollectedLessOftenWhereThereIsMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int64
		said  int
		want  int
	}{
		{112 << 20, 100, 100},
		{112 << 20, 300, 100}, // it was said of another limit
		{512 << 20, 100, 300},
		{8 << 30, 300, 300},
		{8 << 30, 50, 50},
		{8 << 30, -1, -1}, // GOGC=off
	} {
		require.Equal(t, c.want, garbage(c.limit, c.said), c)
	}
}

func TestMemoryIsReservedWhereThereIsMuch(t *testing.T) {
	t.Parallel()
	require.Zero(t, reserved(2<<30-1, roomy))
	require.EqualValues(t, 64<<20, reserved(2<<30, roomy))
	require.Zero(t, reserved(8<<30, 50), "somebody has said so")
	require.Zero(t, reserved(8<<30, -1), "GOGC=off")
}

func TestWhatIsReservedTakesNoMemory(t *testing.T) { //nolint:paralleltest // it changes the whole process
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell")
	}
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(unsaid)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent); reserve = nil })
	debug.SetMemoryLimit(math.MaxInt64)
	end := new(Meter).Begin()
	before := end()
	Limit(4 << 30)
	require.Len(t, reserve, 64<<20)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	require.Greater(t, m.NextGC, uint64(4*64<<20), "garbage may grow further")
	require.Less(t, new(Meter).Begin()(), before+32<<20)
}

func TestTheCollectorIsToldOnce(t *testing.T) { //nolint:paralleltest // it changes the whole process
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(unsaid)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent); reserve = nil })
	debug.SetMemoryLimit(math.MaxInt64)
	Limit(3 << 30)
	require.EqualValues(t, 3<<30, debug.SetMemoryLimit(-1))
	Limit(1 << 30)
	require.EqualValues(t, 3<<30, debug.SetMemoryLimit(-1), "somebody has said so")
	require.Equal(t, roomy, debug.SetGCPercent(roomy))
}
