package data_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

func schemaOf(fields ...data.Field) data.Schema { return data.Schema{Fields: fields} }

func TestTypesOfOneColumnAreWidened(t *testing.T) {
	t.Parallel()
	all := []data.Type{data.Bool, data.Int32, data.Int64, data.Float32, data.Float64, data.String, data.Timestamp, data.Date}
	wide := map[[2]data.Type]data.Type{
		{data.Int32, data.Int64}: data.Int64, {data.Int32, data.Float32}: data.Float64, {data.Int32, data.Float64}: data.Float64,
		{data.Int64, data.Float32}: data.Float64, {data.Int64, data.Float64}: data.Float64, {data.Float32, data.Float64}: data.Float64,
	}
	for _, a := range all {
		for _, b := range all {
			want, ok := wide[[2]data.Type{min(a, b), max(a, b)}]
			if a == b {
				want, ok = a, true
			}
			got, err := schemaOf(data.Field{Name: "x", Type: a}).Unify(schemaOf(data.Field{Name: "x", Type: b}))
			if !ok {
				require.ErrorContains(t, err, `column "x" is `+a.String()+` on one side and `+b.String()+` on the other`)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, data.Field{Name: "x", Type: want}, got.Fields[0])
		}
	}
	_, err := schemaOf(data.Field{Name: "t", Type: data.Timestamp, UTC: true}).Unify(schemaOf(data.Field{Name: "t", Type: data.Timestamp}))
	require.ErrorContains(t, err, "timestamp in UTC on one side and timestamp on the other")
}

func TestColumnsThatOneSideLacksAreNullThere(t *testing.T) {
	t.Parallel()
	a := schemaOf(data.Field{Name: "id", Type: data.Int32}, data.Field{Name: "x", Type: data.Float64})
	b := schemaOf(data.Field{Name: "word", Type: data.String}, data.Field{Name: "id", Type: data.Int64, Nullable: true})
	both, err := a.Unify(b)
	require.NoError(t, err)
	require.Equal(t, schemaOf(data.Field{Name: "id", Type: data.Int64, Nullable: true},
		data.Field{Name: "x", Type: data.Float64, Nullable: true}, data.Field{Name: "word", Type: data.String, Nullable: true}), both)

	rows, err := data.NewBatch(a, []*data.Column{{Type: data.Int32, Int32s: []int32{-1, 7}}, {Type: data.Float64, Float64s: []float64{.5, 2}}})
	require.NoError(t, err)
	rows, err = rows.Conform(both)
	require.NoError(t, err)
	require.Equal(t, []int64{-1, 7}, rows.Column("id").Int64s)
	require.Equal(t, []float64{.5, 2}, rows.Column("x").Float64s)
	require.Equal(t, 2, rows.Column("word").NumNulls())
	_, err = rows.Conform(schemaOf(data.Field{Name: "id", Type: data.Int32}))
	require.ErrorContains(t, err, `column "id" is int64, expected int32`)
}

// In whatever order files are unified, the columns and their types are the same.
func TestUnifyForgetsTheOrderOfFiles(t *testing.T) {
	t.Parallel()
	numbers := []data.Type{data.Int32, data.Int64, data.Float32, data.Float64}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) data.Schema {
			var s data.Schema
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID).Draw(t, label) {
				s.Fields = append(s.Fields, data.Field{Name: name, Type: rapid.SampledFrom(numbers).Draw(t, "type"), Nullable: rapid.Bool().Draw(t, "nullable")})
			}
			return s
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		fold := func(schemas ...data.Schema) []data.Field {
			out := schemas[0]
			for _, s := range schemas[1:] {
				var err error
				out, err = out.Unify(s)
				require.NoError(t, err)
			}
			slices.SortFunc(out.Fields, func(x, y data.Field) int { return int(x.Name[0]) - int(y.Name[0]) })
			return out.Fields
		}
		require.Equal(t, fold(a, b, c), fold(c, b, a))
		require.Equal(t, fold(a, b, c), fold(b, a, c))
	})
}

func TestConstantHasOneValue(t *testing.T) {
	t.Parallel()
	seven, word := data.IntValue(7), data.StringValue("w")
	require.Equal(t, []int64{7, 7}, data.Constant(data.Int64, &seven, 2).Int64s)
	require.Equal(t, []int32{7}, data.Constant(data.Date, &seven, 1).Int32s)
	c := data.Constant(data.String, &word, 3)
	require.Equal(t, []string{"w"}, c.Dict)
	require.Equal(t, []uint32{0, 0, 0}, c.Codes)
	require.Equal(t, 2, data.Constant(data.String, nil, 2).NumNulls())
}
