package arrow

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Those that are known to go beyond int64 are not looked for: with nothing else to
// find, the batches are not read.
func TestWhatIsKnownToGoBeyondIsNotLookedFor(t *testing.T) {
	t.Parallel()
	in := datatest.ArrowKeys(t, []uint64{1, math.MaxUint64})
	cfg := DefaultReaderConfig()
	for known, want := range map[string][]string{"": {"coded", "in.key", "key"}, "key": {"coded", "in.key"}} {
		cfg.Digits = []string{known}
		got, err := Beyond(t.Context(), bytes.NewReader(in), cfg)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	schema := in[:8+binary.LittleEndian.Uint32(in[4:])]
	cfg.Digits = []string{"key", "in.key", "coded"}
	got, err := Beyond(t.Context(), bytes.NewReader(append(bytes.Clone(schema), 0xff)), cfg)
	require.NoError(t, err)
	require.Empty(t, got)
	cfg.Digits = cfg.Digits[1:]
	_, err = Beyond(t.Context(), bytes.NewReader(append(bytes.Clone(schema), 0xff)), cfg)
	require.Equal(t, fault.Corrupt, fault.Of(err), "it is read for the third")
}
