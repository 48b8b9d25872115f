package features_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
)

func encoderOf(t require.TestingT, b *data.Batch, cfg features.EncoderConfig) *features.Encoder {
	e, err := features.NewEncoder(b.Schema.Fields, cfg)
	require.NoError(t, err)
	s := e.NewState()
	require.NoError(t, s.Observe(b, nil))
	e, err = e.Fit(s)
	require.NoError(t, err)
	return e
}

func encodeRows(t require.TestingT, e *features.Encoder, b *data.Batch) []float32 {
	x := make([]float32, b.NumRows*e.NumFeatures())
	for i := range x {
		x[i] = 99 // whatever was there before
	}
	require.NoError(t, e.Encode(b, x))
	return x
}

func TestTheEncoderByHand(t *testing.T) {
	t.Parallel()
	b := batch(t,
		floats64(t, "n", 1., 3., null{}, 4., nan), // median 3: 1 3 3 4 3 has mean 2.8 and deviation sqrt(.96)
		texts(t, "c", "b", "a", null{}, "b", null{}),
		named{"t", column(t, data.Bool, true, false, true, false, true)}, // mean .6, deviation sqrt(.24)
		named{"k", column(t, data.Int32, 5, 5, 5, 5, 5)})
	e := encoderOf(t, b, features.EncoderConfig{MinCount: 2, MaxCategories: 5})
	assert.Equal(t, []string{"n", "n is missing", "c=b", "c is missing", "c is other", "t", "k"}, e.FeatureNames())
	assert.Equal(t, []string{"n", "c", "t", "k"}, e.Inputs())
	z := func(v float64) float32 { return float32((v - 2.8) / math.Sqrt(.96)) }
	yes, no := float32(.4/math.Sqrt(.24)), float32(-.6/math.Sqrt(.24))
	want := []float32{
		z(1), 0, 1, 0, 0, yes, 0,
		z(3), 0, 0, 0, 1, no, 0,
		z(3), 1, 0, 1, 0, yes, 0,
		z(4), 0, 1, 0, 0, no, 0,
		z(3), 1, 0, 1, 0, yes, 0,
	}
	assert.InDeltaSlice(t, want, encodeRows(t, e, b), 1e-6)

	fresh := batch(t, floats64(t, "n", inf, -inf, 1e300), texts(t, "c", "new", "a", "b"), named{"t", column(t, data.Bool, null{}, true, true)},
		named{"k", column(t, data.Int64, 1<<40, null{}, -1)})
	want = []float32{10, 0, 0, 0, 1, yes, 0, -10, 0, 0, 0, 1, yes, 0, 10, 0, 1, 0, 0, yes, 0}
	assert.InDeltaSlice(t, want, encodeRows(t, e, fresh), 1e-6)
}

func TestAnInfinityIsNotMissing(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "n", 0., 2., inf, -inf))
	e := encoderOf(t, b, features.DefaultEncoderConfig())
	assert.Equal(t, []string{"n"}, e.FeatureNames())
	assert.Equal(t, []float32{-1, 1, 10, -10}, encodeRows(t, e, b))
}

func TestTheEncoderKeepsTheMostFrequent(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "d", "d", "d", "b", "b", "a", "a", "c", "c", null{}))
	e := encoderOf(t, b, features.EncoderConfig{MinCount: 1, MaxCategories: 2}) // ties by name: d, then a of a, b and c
	assert.Equal(t, []string{"c=a", "c=d", "c is missing", "c is other"}, e.FeatureNames())
	e = encoderOf(t, b, features.EncoderConfig{MinCount: 2, MaxCategories: 9}) // one null is too few for a column
	assert.Equal(t, []string{"c=a", "c=b", "c=c", "c=d", "c is other"}, e.FeatureNames())
	assert.Equal(t, []float32{0, 0, 0, 0, 1}, encodeRows(t, e, batch(t, texts(t, "c", null{}))))
}

func encodable() data.Schema {
	s := everyType()
	s.Fields = slices.DeleteFunc(s.Fields, func(f data.Field) bool { return f.Type == data.Timestamp || f.Type == data.Date })
	return s
}

func TestTheEncoderKeepsThePromises(t *testing.T) {
	t.Parallel()
	cfg := features.EncoderConfig{MinCount: 2, MaxCategories: 4}
	rapid.Check(t, func(t *rapid.T) {
		b := featurestest.Tables(encodable(), 30).Draw(t, "table")
		e, err := features.NewEncoder(b.Schema.Fields, cfg)
		require.NoError(t, err)
		whole, merged := e.NewState(), e.NewState()
		require.NoError(t, whole.Observe(b, nil))
		rows := make([]int, b.NumRows)
		for i := range rows {
			rows[i] = i
		}
		cut := rapid.IntRange(0, len(rows)).Draw(t, "cut")
		order := rapid.Permutation(rows).Draw(t, "order")
		for _, part := range [][]int{order[cut:], order[:cut]} {
			s, back := e.NewState(), e.NewState()
			require.NoError(t, s.Observe(featurestest.Rows(b, part, true), nil))
			text, err := s.MarshalBinary()
			require.NoError(t, err)
			require.NoError(t, back.UnmarshalBinary(text))
			require.NoError(t, merged.Merge(back))
			require.Equal(t, fault.Corrupt, fault.Of(back.UnmarshalBinary(text[:rapid.IntRange(0, len(text)-1).Draw(t, "end")])))
		}
		want, err := whole.MarshalBinary()
		require.NoError(t, err)
		got, err := merged.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, want, got)
		one, err := e.Fit(whole)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err))
			return
		}
		checkEncode(t, one)
	})
}

// checkEncode encodes a table at once, and row by row with an encoder that was
// written and read.
func checkEncode(t *rapid.T, e *features.Encoder) {
	text, err := json.Marshal(e)
	require.NoError(t, err)
	var back features.Encoder
	require.NoError(t, json.Unmarshal(text, &back))
	again, err := json.Marshal(&back)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))
	require.Equal(t, e.FeatureNames(), back.FeatureNames())

	b := featurestest.Tables(encodable(), 300).Draw(t, "other table")
	x := encodeRows(t, e, b)
	width := e.NumFeatures()
	require.Len(t, e.FeatureNames(), width)
	for i := range b.NumRows {
		require.Equal(t, x[i*width:(i+1)*width], encodeRows(t, &back, featurestest.Rows(b, []int{i}, true)))
	}
	for _, v := range x {
		require.True(t, v >= -10 && v <= 10, "%v", v)
	}
}

func TestTheEncoderRefuses(t *testing.T) {
	t.Parallel()
	_, err := features.NewEncoder([]data.Field{{Name: "ts", Type: data.Timestamp}, {Name: "d", Type: data.Date}, {Name: "x"}, {Name: "x"}}, features.EncoderConfig{})
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, want := range []string{`column "ts" is a timestamp`, `column "d" is a date`, `column "x" is given twice`, `must be at least 1`} {
		require.ErrorContains(t, err, want)
	}
	b := batch(t, floats64(t, "x", null{}, nan), texts(t, "c", null{}, null{}))
	e, err := features.NewEncoder(b.Schema.Fields, features.DefaultEncoderConfig())
	require.NoError(t, err)
	require.ErrorContains(t, e.Encode(b, nil), "not fitted")
	assert.Nil(t, e.FeatureNames())
	s := e.NewState()
	require.ErrorContains(t, s.Observe(batch(t, floats64(t, "x", 1.)), nil), `there is no column "c"`)
	require.ErrorContains(t, s.Observe(batch(t, texts(t, "x", "a"), texts(t, "c", "a")), nil), `column "x" is string, expected float64`)
	require.NoError(t, s.Observe(b, nil))
	_, err = e.Fit(s)
	require.ErrorContains(t, err, `column "x": none of the rows to learn from has a finite number`)
	require.ErrorContains(t, err, `column "c": none of the rows to learn from has a value`)
	e = encoderOf(t, batch(t, floats64(t, "x", 1.)), features.DefaultEncoderConfig())
	require.ErrorContains(t, e.Encode(batch(t, floats64(t, "x", 1.)), make([]float32, 2)), "room for 2 numbers, expected 1 rows of 1")
	for _, broken := range []string{`{`, `{"version":2}`, `{"version":1,"config":{"min_count":1,"max_categories":1},"columns":[{"name":"x","type":"float64","text":{"categories":[]}}]}`} {
		require.Error(t, json.Unmarshal([]byte(broken), e))
	}
}
