package mlflow

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/troupe-ml/troupe/internal/fault"
)

func TestArtifactsWaitForRoom(t *testing.T) {
	t.Parallel()
	s := &Server{cfg: Config{MaxArtifactBytes: 10}, room: semaphore.NewWeighted(10)}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	first, err := s.hold(t.Context(), 4)
	require.NoError(t, err)
	second, err := s.hold(t.Context(), 6)
	require.NoError(t, err)
	_, err = s.hold(over, 1)
	require.Equal(t, fault.Canceled, fault.Of(err), "there is no room for one more byte")
	first()
	second()
	for _, n := range []int64{-1, 11} { // not known, or a lie: all there is
		all, err := s.hold(t.Context(), n)
		require.NoError(t, err)
		_, err = s.hold(over, 1)
		require.Equal(t, fault.Canceled, fault.Of(err))
		all()
	}
}
