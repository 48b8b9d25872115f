// Package featurestest holds what every feature promises, as tests: whoever
// adds an operation runs Check on steps that use it.
package featurestest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
)

// Check tests a list of features on tables of a schema:
//
//   - what is learned is a function of the multiset of rows: any order, split,
//     dictionary and order of merging gives the same bytes, and the same pipeline
//   - rows outside the mask play no part
//   - a row becomes the same alone, in a part, and in the whole
//   - input batches are not changed
//   - states and pipelines come back from their bytes, and other bytes are Corrupt
//   - the output has the schema that was announced: rows in are rows out, nulls
//     hold the zero value, columns that are not nullable have none
//   - where nothing can be learned, the error is Invalid, split or not
func Check(t *testing.T, cfg features.Config, schema data.Schema) {
	t.Helper()
	t.Run("fit", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { checkFit(t, cfg, schema) })
	})
	t.Run("apply", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { checkApply(t, cfg, schema) })
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { checkBytes(t, cfg, schema) })
	})
}

const maxRows = 30

func compile(t *rapid.T, cfg features.Config, schema data.Schema) *features.Pipeline {
	p, err := features.Compile(cfg, schema)
	require.NoError(t, err)
	return p
}

// fit fits a pipeline on one batch, or returns why that cannot be.
func fit(t *rapid.T, p *features.Pipeline, b *data.Batch, mask data.Bitmap) (*features.Pipeline, error) {
	for pass := range p.NumPasses() {
		s := p.NewState(pass)
		require.NoError(t, s.ObserveRows(b, features.Rows{Mask: mask, Numbers: numbers(seq(b.NumRows))}))
		next, err := p.Fit(pass, s)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err), "%v", err)
			return nil, err
		}
		p = next
	}
	return p, nil
}

func encode(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// checkFit compares a fit of the whole with one of rows that are shuffled,
// masked, split, and merged in another order.
func checkFit(t *rapid.T, cfg features.Config, schema data.Schema) {
	b := Tables(schema, maxRows).Draw(t, "table")
	used := rapid.SliceOfN(rapid.Bool(), b.NumRows, b.NumRows).Draw(t, "used")
	var rows []int
	for i, u := range used {
		if u {
			rows = append(rows, i)
		}
	}
	wholeErr := error(nil)
	whole, split := compile(t, cfg, schema), compile(t, cfg, schema)
	for pass := range whole.NumPasses() {
		one := whole.NewState(pass)
		require.NoError(t, one.ObserveRows(Rows(b, rows, false), features.Rows{Numbers: numbers(rows)}))
		merged := observeSplit(t, split, pass, b, used)
		want, err := one.MarshalBinary()
		require.NoError(t, err)
		got, err := merged.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, want, got, "pass %d: the states differ", pass)

		next, errOne := whole.Fit(pass, one)
		nextSplit, errSplit := split.Fit(pass, merged)
		if errOne != nil {
			require.Equal(t, fault.Invalid, fault.Of(errOne), "%v", errOne)
			require.EqualError(t, errSplit, errOne.Error())
			wholeErr = errOne
			break
		}
		require.NoError(t, errSplit)
		whole, split = next, nextSplit
	}
	if wholeErr == nil {
		require.Equal(t, encode(t, whole), encode(t, split))
	}
}

func observeSplit(t *rapid.T, p *features.Pipeline, pass int, b *data.Batch, used []bool) *features.State {
	order := make([]int, b.NumRows)
	for i := range order {
		order[i] = i
	}
	order = rapid.Permutation(order).Draw(t, "order")
	merged := p.NewState(pass)
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(t, "part")
		part, mask := Rows(b, order[:n], rapid.Bool().Draw(t, "fresh")), data.NewBitmap(n)
		for i, row := range order[:n] {
			if used[row] {
				mask.Set(i)
			}
		}
		s := p.NewState(pass)
		require.NoError(t, s.ObserveRows(part, features.Rows{Mask: mask, Numbers: numbers(order[:n])}))
		order = order[n:]
		if rapid.Bool().Draw(t, "the other way round") {
			require.NoError(t, s.Merge(merged))
			merged = s
		} else {
			require.NoError(t, merged.Merge(s))
		}
	}
	return merged
}

func checkApply(t *rapid.T, cfg features.Config, schema data.Schema) {
	train := Tables(schema, maxRows).Draw(t, "train")
	p, err := fit(t, compile(t, cfg, schema), train, nil)
	if err != nil {
		return
	}
	b := Tables(schema, maxRows).Draw(t, "table")
	before := encode(t, plain(b))
	got, err := p.Apply(b)
	require.NoError(t, err)
	require.Equal(t, before, encode(t, plain(b)), "the input was changed")
	checkShape(t, p, b, got)
	whole := Texts(got)

	var parts []string
	for rest := seq(b.NumRows); len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "part")
		part, err := p.Apply(Rows(b, rest[:n], rapid.Bool().Draw(t, "fresh")))
		require.NoError(t, err)
		parts = append(parts, Texts(part)...)
		rest = rest[n:]
	}
	require.Equal(t, whole, parts, "in parts")
	row := rapid.IntRange(0, b.NumRows-1).Draw(t, "row")
	alone, err := p.Apply(Rows(b, []int{row}, true))
	require.NoError(t, err)
	require.Equal(t, whole[row:row+1], Texts(alone), "alone")
	nothing, err := p.Apply(Rows(b, nil, true))
	require.NoError(t, err)
	require.Zero(t, nothing.NumRows)
}

// numbers are those of rows in their table.
func numbers(rows []int) []int64 {
	out := make([]int64, len(rows))
	for i, row := range rows {
		out[i] = int64(row)
	}
	return out
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// plain is a batch that can be written as JSON, for comparison.
func plain(b *data.Batch) any { return []any{b.Schema, Texts(b)} }

func checkShape(t *rapid.T, p *features.Pipeline, in, out *data.Batch) {
	schema, err := p.OutputSchema()
	require.NoError(t, err)
	require.Equal(t, schema, out.Schema)
	require.Equal(t, in.NumRows, out.NumRows)
	keep := p.Config().Keep
	require.Equal(t, schema.Names(), slices.Concat(keep, p.FeatureNames()))
	for i, c := range out.Columns {
		f := schema.Fields[i]
		require.Equal(t, in.NumRows, c.Len(), f.Name)
		require.True(t, f.Nullable || c.NumNulls() == 0, "%s is not nullable", f.Name)
		for row := range in.NumRows {
			if f.Type == data.String && c.Valid.Get(row) {
				require.Less(t, int(c.Codes[row]), len(c.Dict), f.Name)
			}
			if !c.Valid.Get(row) {
				zero := data.NewColumn(f.Type, 1)
				require.Equal(t, hidden(zero, 0), hidden(c, row), "a null of %s", f.Name)
			}
		}
	}
}

// hidden is what a null holds.
func hidden(c *data.Column, i int) any {
	switch c.Type {
	case data.Bool:
		return c.Bools[i]
	case data.Int32, data.Date:
		return c.Int32s[i]
	case data.Int64, data.Timestamp:
		return c.Int64s[i]
	case data.Float32:
		return c.Float32s[i]
	case data.Float64:
		return c.Float64s[i]
	default:
		return c.Codes[i]
	}
}

func checkBytes(t *rapid.T, cfg features.Config, schema data.Schema) {
	b := Tables(schema, maxRows).Draw(t, "table")
	p := compile(t, cfg, schema)
	for pass := range p.NumPasses() {
		s := p.NewState(pass)
		require.NoError(t, s.ObserveRows(b, features.Rows{Numbers: numbers(seq(b.NumRows))}))
		text, err := s.MarshalBinary()
		require.NoError(t, err)
		back := p.NewState(pass)
		require.NoError(t, back.UnmarshalBinary(text))
		again, err := back.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, text, again)
		cut := text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
		require.Equal(t, fault.Corrupt, fault.Of(p.NewState(pass).UnmarshalBinary(cut)))
		changed := slices.Clone(text)
		changed[rapid.IntRange(0, len(text)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if err := p.NewState(pass).UnmarshalBinary(changed); err != nil {
			require.Equal(t, fault.Corrupt, fault.Of(err))
		}
		p = reload(t, p)
		if p, err = p.Fit(pass, back); err != nil {
			return
		}
	}
	loaded := reload(t, p)
	want, err := p.Apply(b)
	require.NoError(t, err)
	got, err := loaded.Apply(b)
	require.NoError(t, err)
	require.Equal(t, Texts(want), Texts(got))
	final, err := reload(t, p.WithoutFolds()).Apply(b)
	require.NoError(t, err)
	require.Equal(t, Texts(want), Texts(final))

	learned := features.Rows{Numbers: numbers(seq(b.NumRows))}
	want, err = p.ApplyOutOfFold(b, learned)
	require.NoError(t, err)
	checkShape(t, p, b, want)
	got, err = loaded.ApplyOutOfFold(b, learned)
	require.NoError(t, err)
	require.Equal(t, Texts(want), Texts(got))
}

// reload writes a pipeline and reads it.
func reload(t *rapid.T, p *features.Pipeline) *features.Pipeline {
	text := encode(t, p)
	back, err := features.Load([]byte(text))
	require.NoError(t, err)
	require.Equal(t, text, encode(t, back))
	require.Equal(t, p.NumPasses(), back.NumPasses())
	require.Equal(t, p.Inputs(), back.Inputs())
	return back
}
