package rng_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/rng"
)

func TestAMixerIsMixInTwoSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed, a, b := rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		require.Equal(t, rng.Mix(seed, a, b), rng.NewMixer(seed, a).Mix(b))
	})
}
