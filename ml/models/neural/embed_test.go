package neural

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/ml/models"
)

func TestWhatNothingIsLearnedForBeginsAtZero(t *testing.T) {
	t.Parallel()
	s, err := newShape(2, []int{4}, 3, extras{embeddings: []Embedding{{1, 5, 18}}})
	require.NoError(t, err)
	rows := s.tables[0].plainTable(s.initial(1))
	for code := range 5 {
		for _, v := range rows[code*18 : (code+1)*18] {
			assert.Equal(t, code >= 3, v == 0, "code %d", code)
		}
	}
	assert.Equal(t, rows, s.tables[0].plainTable(s.initial(1)))
	assert.NotEqual(t, rows, s.tables[0].plainTable(s.initial(2)))
}

// A code that is none is as what was not learned from, the last one.
func TestWhatIsNoCodeIsAsWhatWasNotLearnedFrom(t *testing.T) {
	t.Parallel()
	m := richModel(t, LayerNorm) // features 1 and 6 are codes, of 5 and 3 categories
	for i, v := range m.network.tables[0].of(m.weights) {
		m.network.tables[0].of(m.weights)[i] = v + float32(i)/100 // all rows differ
	}
	predict := func(code float32) []float32 {
		out := make([]float32, 3)
		require.NoError(t, m.Predict([]float32{1, code, -1, 0.5, 0, 2, 0}, 1, out))
		return out
	}
	last := predict(4)
	for code := range 4 {
		assert.NotEqual(t, last, predict(float32(code)))
	}
	for _, code := range []float32{-1, 5, 1e30} {
		assert.Equal(t, last, predict(code))
	}
}

func TestEmbeddingsOfNoFeatureAreRefused(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Embeddings = []Embedding{{Feature: 2, Codes: 3, Size: 1}}
	e, err := New(c, twoClasses)
	require.NoError(t, err)
	_, err = e.Fit(t.Context(), nil, xor(1, 10), xor(2, 10), models.Options{})
	require.ErrorContains(t, err, "an embedding of feature 2 of 2")
}
