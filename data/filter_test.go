package data_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

func TestNumbersBeyondAllOfAColumnAreNotInfinity(t *testing.T) {
	t.Parallel()
	inf := float32(math.Inf(1))
	b := &data.Batch{
		NumRows: 4, Schema: data.Schema{Fields: []data.Field{{Name: "f", Type: data.Float32}}},
		Columns: []*data.Column{{Type: data.Float32, Float32s: []float32{-inf, -math.MaxFloat32, .1, inf}}},
	}
	for text, want := range map[string]uint64{"f >= -1e300": 0b1110, "f < -1e300": 0b0001, "f > 1e300": 0b1000, "f in (1e300, 0.1)": 0b0100, "f <= 1e300": 0b0111} {
		p, err := data.ParsePredicate(text)
		require.NoError(t, err)
		f, err := p.Bind(b.Schema)
		require.NoError(t, err)
		got, err := f.Eval(b)
		require.NoError(t, err)
		require.Equal(t, data.Bitmap{want}, got, text)
	}
}
