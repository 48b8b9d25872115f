package features_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// fitTarget fits a target on a column, in two parts that go over bytes.
func fitTarget(t *testing.T, task metrics.Task, b *data.Batch, mask data.Bitmap) (*features.Target, error) {
	t.Helper()
	target, err := features.NewTarget(task, b.Schema.Fields[0])
	require.NoError(t, err)
	s, merged := target.NewState(), target.NewState()
	if err := s.Observe(b, mask); err != nil {
		return nil, err
	}
	text, err := s.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, merged.UnmarshalBinary(text))
	require.NoError(t, merged.Merge(target.NewState()))
	require.Equal(t, fault.Corrupt, fault.Of(target.NewState().UnmarshalBinary(text[:len(text)-1])))
	return target.Fit(merged)
}

func TestClassesAreInNaturalOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		column named
		want   []string
		y      []float32
	}{
		{named{"y", column(t, data.Int64, 10, 9, null{}, -1)}, []string{"-1", "9", "10"}, []float32{2, 1, 0, 0}},
		{named{"y", column(t, data.Bool, true, false, true)}, []string{"false", "true"}, []float32{1, 0, 1}},
		{texts(t, "y", ">50K", "<=50K", null{}), []string{"<=50K", ">50K"}, []float32{1, 0, 0}},
		{floats64(t, "y", 1., 0., nan), []string{"0", "1"}, []float32{1, 0, 0}},
	} {
		task := metrics.Binary
		if len(c.want) > 2 {
			task = metrics.Multiclass
		}
		b := batch(t, c.column)
		target, err := fitTarget(t, task, b, nil)
		require.NoError(t, err)
		assert.Equal(t, c.want, target.Classes())
		text, err := json.Marshal(target)
		require.NoError(t, err)
		var back features.Target
		require.NoError(t, json.Unmarshal(text, &back))
		y := make([]float32, b.NumRows)
		known, err := back.Encode(b, y)
		require.NoError(t, err)
		assert.Equal(t, c.y, y)
		for i, v := range values(c.column.Column) {
			missing := v == null{} || fmt.Sprint(v) == "NaN"
			assert.Equal(t, !missing, known.Get(i))
		}
	}
}

func TestClassesOfAllRowsAreKnown(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "y", "a", "b", "only to test"))
	mask := data.NewBitmap(3)
	mask.Set(0)
	mask.Set(1)
	target, err := fitTarget(t, metrics.Multiclass, b, mask)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "only to test"}, target.Classes())
	assert.Equal(t, []int64{1, 1, 0}, target.ClassCounts())
	_, err = target.Encode(batch(t, texts(t, "y", "a", "never")), make([]float32, 2))
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, `"never" in row 1, which is none of the classes`)
}

func TestATruthIsNoNumberOfAClass(t *testing.T) {
	t.Parallel()
	target, err := fitTarget(t, metrics.Binary, batch(t, named{"y", column(t, data.Int64, 0, 1)}), nil)
	require.NoError(t, err)
	_, err = target.Encode(batch(t, named{"y", column(t, data.Bool, true)}), make([]float32, 1))
	require.ErrorContains(t, err, `column "y" is bool, expected int64`)
	known, err := target.Encode(batch(t, floats64(t, "y", 1.)), make([]float32, 1))
	require.NoError(t, err)
	assert.Nil(t, known)
}

func TestARegressionTarget(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "y", 1., 3., nan, null{}, 100.))
	mask := data.NewBitmap(5)
	for i := range 4 {
		mask.Set(i)
	}
	target, err := fitTarget(t, metrics.Regression, b, mask)
	require.NoError(t, err)
	assert.Equal(t, []float64{2, 1}, []float64{target.Mean(), target.Std()})
	assert.Nil(t, target.Classes())
	y := make([]float32, 5)
	known, err := target.Encode(b, y)
	require.NoError(t, err)
	assert.Equal(t, []float32{1, 3, 0, 0, 100}, y)
	assert.Equal(t, uint64(0b10011), known[0])
	known, err = target.Encode(batch(t, named{"y", column(t, data.Int32, 7)}), y[:1])
	require.NoError(t, err)
	assert.Nil(t, known)
	assert.Equal(t, float32(7), y[0]) //nolint:testifylint // exact
}

func TestTargetsThatCannotBeLearned(t *testing.T) {
	t.Parallel()
	many := make([]any, 1001)
	for i := range many {
		many[i] = i
	}
	for want, c := range map[string]struct {
		task   metrics.Task
		column named
	}{
		`is "a" in all rows to learn from`:           {metrics.Binary, texts(t, "y", "a", "a", null{})},
		`none of the rows to learn from has a value`: {metrics.Binary, texts(t, "y", null{})},
		`has 3 classes, expected 2`:                  {metrics.Binary, texts(t, "y", "a", "b", "c")},
		`is 0.5 in row 1, expected a whole number`:   {metrics.Multiclass, floats64(t, "y", 1., 0.5)},
		`expected at most 1000 classes`:              {metrics.Multiclass, named{"y", column(t, data.Int64, many...)}},
		`is 4 in all rows to learn from`:             {metrics.Regression, floats64(t, "y", 4., 4., null{})},
		`"y": none of the rows to learn from`:        {metrics.Regression, floats64(t, "y", nan)},
		`is +Inf in row 1, expected a finite number`: {metrics.Regression, floats64(t, "y", 1., inf)},
	} {
		_, err := fitTarget(t, c.task, batch(t, c.column), nil)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
		assert.ErrorContains(t, err, want)
	}
	for want, c := range map[string]struct {
		task metrics.Task
		typ  data.Type
	}{
		`no task "clustering"`: {"clustering", data.Bool}, "expected a number for a regression": {metrics.Regression, data.String},
		"is timestamp, expected": {metrics.Binary, data.Timestamp}, "is date, expected": {metrics.Multiclass, data.Date},
	} {
		_, err := features.NewTarget(c.task, data.Field{Name: "y", Type: c.typ})
		require.Equal(t, fault.Invalid, fault.Of(err))
		assert.ErrorContains(t, err, want)
	}
}
