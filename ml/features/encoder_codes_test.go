package features_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
)

func TestCodedColumnsByHand(t *testing.T) {
	t.Parallel()
	b := batch(t,
		texts(t, "c", "b", "a", null{}, "b", "a"),
		floats64(t, "n", 1., 1., 1., 1., 1.),
		named{"k", column(t, data.Int32, 10, 9, 9, 10, 5)},
		named{"t", column(t, data.Bool, true, true, true, true, true)})
	e := encoderOf(t, b, features.EncoderConfig{MinCount: 2, MaxCategories: 1, Coded: []string{"c", "k", "t"}})
	assert.Equal(t, []string{"c as a code", "n", "k as a code", "t as a code"}, e.FeatureNames())
	assert.Equal(t, []features.Code{{Column: "c", Feature: 0, Codes: 4}, {Column: "k", Feature: 2, Codes: 4}, {Column: "t", Feature: 3, Codes: 3}}, e.Codes())
	want := []float32{
		1, 0, 1, 0,
		0, 0, 0, 0,
		2, 0, 0, 0,
		1, 0, 1, 0,
		0, 0, 3, 0, // 5 is rare
	}
	assert.Equal(t, want, encodeRows(t, e, b))

	fresh := batch(t, texts(t, "c", "new", null{}), floats64(t, "n", 1., 1.), named{"k", column(t, data.Int64, 1<<40, null{})},
		named{"t", column(t, data.Bool, false, null{})})
	assert.Equal(t, []float32{3, 0, 3, 2, 2, 0, 2, 1}, encodeRows(t, e, fresh))

	text, err := json.Marshal(e)
	require.NoError(t, err)
	back := new(features.Encoder)
	require.NoError(t, json.Unmarshal(text, back))
	assert.Equal(t, e.Codes(), back.Codes())
	assert.Equal(t, want, encodeRows(t, back, b))
}

func TestCodedColumnsThatCannotBe(t *testing.T) {
	t.Parallel()
	fields := []data.Field{{Name: "x", Type: data.Float64}, {Name: "c", Type: data.String}}
	for column, want := range map[string]string{"x": `column "x" is a float64`, "d": `an embedding is of column "d", which is not among those that the model learns from: x, c`} {
		_, err := features.NewEncoder(fields, features.EncoderConfig{MinCount: 1, MaxCategories: 1, Coded: []string{column}})
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
}
