package runs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/store/memory"
)

// Of two who log at once the one with the shorter log may say so last: what the
// other has logged stays known.
func TestATailDoesNotBecomeShorter(t *testing.T) {
	t.Parallel()
	st := memory.New()
	b, other := Open(st), Open(st)
	for _, end := range []uint64{6, 5} {
		require.NoError(t, b.grown(t.Context(), "r", end))
	}
	require.NoError(t, other.grown(t.Context(), "r", 4))
	value, _, err := st.Refs.Get(t.Context(), tailPrefix+"r")
	require.NoError(t, err)
	require.EqualValues(t, 6, endOf(value))
	require.NoError(t, other.grown(t.Context(), "r", 7))
	require.NoError(t, b.grown(t.Context(), "r", 8))
	value, _, err = st.Refs.Get(t.Context(), tailPrefix+"r")
	require.NoError(t, err)
	require.EqualValues(t, 8, endOf(value))
}
