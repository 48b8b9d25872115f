package memory

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePeakBeginsWithTheFirstOfTheTasksThatRun(t *testing.T) {
	t.Parallel()
	resets, now := 0, int64(0)
	m := &Meter{reset: func() bool { resets++; return true }, peak: func() int64 { return now }}
	first := m.Begin()
	second := m.Begin()
	require.Equal(t, 1, resets)
	now = 7
	require.EqualValues(t, 7, first())
	third := m.Begin()
	require.Equal(t, 1, resets, "another task still runs")
	now = 9
	require.EqualValues(t, 9, second())
	require.EqualValues(t, 9, second(), "said twice")
	require.EqualValues(t, 9, third())
	m.Begin()
	require.Equal(t, 2, resets)
}

func TestTheSystemTells(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("this system does not tell")
	}
	end := new(Meter).Begin()
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	peak := end()
	require.Greater(t, peak, int64(len(block)))
	runtime.KeepAlive(block)
}
