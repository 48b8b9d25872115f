package drift_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// row is one row of the tables that the laws are tried on.
type row struct {
	number  float64
	whole   int32
	flag    bool
	word    string
	missing uint8 // a bit for each column
}

func anyRow() *rapid.Generator[row] {
	return rapid.Custom(func(t *rapid.T) row {
		return row{
			number:  rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, 2, math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "number"),
			whole:   rapid.Int32Range(-3, 9).Draw(t, "whole"),
			flag:    rapid.Bool().Draw(t, "flag"),
			word:    rapid.SampledFrom([]string{"", "a", "b", "bb", "c", "dddd", "e"}).Draw(t, "word"),
			missing: uint8(rapid.IntRange(0, 15).Draw(t, "missing")) & uint8(rapid.IntRange(0, 15).Draw(t, "and")),
		}
	})
}

var schema = data.Schema{Fields: []data.Field{
	{Name: "number", Type: data.Float64, Nullable: true}, {Name: "at", Type: data.Timestamp},
	{Name: "whole", Type: data.Int32, Nullable: true}, {Name: "flag", Type: data.Bool, Nullable: true},
	{Name: "word", Type: data.String, Nullable: true},
}}

func batchOf(rows []row) *data.Batch {
	b := &data.Batch{Schema: schema, NumRows: len(rows)}
	for _, f := range schema.Fields {
		c := data.NewColumn(f.Type, len(rows))
		if f.Nullable {
			c.Valid = data.NewBitmap(len(rows))
		}
		b.Columns = append(b.Columns, c)
	}
	for i, r := range rows {
		for bit, at := range []int{0, 2, 3, 4} {
			if r.missing>>bit&1 == 0 {
				b.Columns[at].Valid.Set(i)
			}
		}
		b.Columns[0].Float64s[i], b.Columns[2].Int32s[i], b.Columns[3].Bools[i] = r.number, r.whole, r.flag
		words := b.Columns[4]
		code := slices.Index(words.Dict, r.word)
		if code < 0 {
			code = len(words.Dict)
			words.Dict = append(words.Dict, r.word)
		}
		words.Codes[i] = uint32(code)
	}
	return b
}

func newProfile(t require.TestingT, l drift.Limits) *drift.Profile {
	p, err := drift.NewProfileOf(schema, drift.Profiled(schema), l)
	require.NoError(t, err)
	return p
}

func encoded(t require.TestingT, p *drift.Profile) []byte {
	b, err := p.MarshalBinary()
	require.NoError(t, err)
	return b
}

// The law of the house: any order, any split and any mask give the bytes of the
// whole, on both sides of every limit.
func TestAProfileIsAFunctionOfTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drift.Limits{
			MaxNumbers: rapid.IntRange(1, 20).Draw(t, "numbers"), MaxStrings: rapid.IntRange(1, 8).Draw(t, "strings"),
			MaxStringBytes: rapid.IntRange(1, 12).Draw(t, "bytes"),
		}
		rows := rapid.SliceOfN(anyRow(), 1, 40).Draw(t, "rows")
		whole := newProfile(t, l)
		require.NoError(t, whole.Observe(batchOf(rows), nil))

		shuffled := batchOf(rapid.Permutation(rows).Draw(t, "order"))
		masks := [3]data.Bitmap{}
		for i := range masks {
			masks[i] = data.NewBitmap(len(rows))
		}
		for i := range rows {
			masks[rapid.IntRange(0, 2).Draw(t, "shard")].Set(i)
		}
		merged := newProfile(t, l)
		for _, m := range rapid.Permutation(masks[:]).Draw(t, "merge order") {
			one, back := newProfile(t, l), newProfile(t, drift.DefaultLimits())
			require.NoError(t, one.Observe(shuffled, m))
			require.NoError(t, back.UnmarshalBinary(encoded(t, one)))
			require.NoError(t, merged.Merge(back))
		}
		require.Equal(t, encoded(t, whole), encoded(t, merged))
		require.Equal(t, int64(len(rows)), merged.Rows())

		r, err := drift.Compare(whole, merged, drift.Config{})
		require.NoError(t, err)
		require.Empty(t, r.Drifted)
		for _, c := range r.Columns {
			for m, v := range c.Statistics {
				require.Zero(t, v, "%s by %s", c.Name, m)
			}
		}
	})
}

// Whatever is compared, the report is JSON, its shares add up, and no method
// leaves its range.
func TestAnyTwoProfilesCanBeCompared(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drift.Limits{MaxNumbers: 10, MaxStrings: 4, MaxStringBytes: 100}
		var p [2]*drift.Profile
		for i := range p {
			p[i] = newProfile(t, l)
			require.NoError(t, p[i].Observe(batchOf(rapid.SliceOfN(anyRow(), 1, 30).Draw(t, "rows")), nil))
		}
		method := rapid.SampledFrom([]drift.Method{drift.Auto, drift.KSMethod, drift.WassersteinMethod, drift.JSMethod, drift.ChiSquareMethod}).Draw(t, "method")
		r, err := drift.Compare(p[0], p[1], drift.Config{Method: method, Target: "flag"})
		require.NoError(t, err)
		first, err := json.Marshal(r)
		require.NoError(t, err)
		var back drift.Report
		require.NoError(t, json.Unmarshal(first, &back))
		second, err := json.Marshal(back)
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
		require.NotNil(t, r.TargetDrifted)
		for _, c := range r.Columns {
			var shares [2]float64
			for _, b := range c.Bins {
				shares[0] += b.Reference
				shares[1] += b.Current
			}
			require.InDelta(t, 1, shares[0], 1e-12, c.Name)
			require.InDelta(t, 1, shares[1], 1e-12, c.Name)
			for m, v := range c.Statistics {
				require.GreaterOrEqual(t, v, 0.0, m)
				if m == drift.KSMethod || m == drift.JSMethod {
					require.LessOrEqual(t, v, 1+1e-12, m)
				}
			}
			require.Equal(t, c.Drifted, c.Statistic >= c.Threshold)
		}
	})
}

// dumbKS and dumbWasserstein look at all values, one by one.
func dumbKS(a, b []float64) float64 {
	largest := 0.0
	for _, v := range slices.Concat(a, b) {
		largest = max(largest, math.Abs(upTo(a, v)-upTo(b, v)))
	}
	return largest
}

func upTo(values []float64, limit float64) float64 {
	n := 0
	for _, v := range values {
		if v <= limit {
			n++
		}
	}
	return float64(n) / float64(len(values))
}

func dumbWasserstein(a, b []float64) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	area := 0.0
	for i := 1; i < len(all); i++ {
		area += (all[i] - all[i-1]) * math.Abs(upTo(a, all[i-1])-upTo(b, all[i-1]))
	}
	mean, squares := 0.0, 0.0
	for _, v := range a {
		mean += v / float64(len(a))
	}
	for _, v := range a {
		squares += (v - mean) * (v - mean)
	}
	return area / math.Sqrt(squares/float64(len(a)))
}

func TestKSAndWassersteinAreThoseOfTheirTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float64Range(-100, 100), rapid.SampledFrom([]float64{-1, 0, 1, 2}))
		a := append([]float64{-7, 7}, rapid.SliceOfN(value, 0, 40).Draw(t, "a")...)
		b := rapid.SliceOfN(value, 1, 40).Draw(t, "b")
		var p, q sketch.Quantiles
		p.Observe(a)
		q.Observe(b)
		require.InDelta(t, dumbKS(a, b), drift.KolmogorovSmirnov(&p, &q), 1e-15)
		want := dumbWasserstein(a, b)
		require.InDelta(t, want, drift.Wasserstein(&p, &q), 1e-9*(1+want))
		q.Observe([]float64{math.Inf(1), math.Inf(-1)})
		require.InDelta(t, want, drift.Wasserstein(&p, &q), 1e-9*(1+want), "infinities are left out")
	})
	var some, none sketch.Quantiles
	some.Add(3)
	assert.InDelta(t, 1, drift.KolmogorovSmirnov(&some, &none), 0)
	assert.InDelta(t, 0, drift.KolmogorovSmirnov(&none, &none), 0)
	assert.InDelta(t, 1, drift.Wasserstein(&none, &some), 0)
	assert.InDelta(t, 0, drift.Wasserstein(&none, &none), 0)
}

// By hand: shares .5 .5 against .25 .75, and a bin that one side does not have.
func TestBinnedStatisticsByHand(t *testing.T) {
	t.Parallel()
	r, c := []int64{2, 2}, []int64{1, 3}
	assert.InDelta(t, .25*math.Log(2)+.25*math.Log(1.5), drift.PSI(r, c), 1e-15)
	assert.InDelta(t, 1-.0001, drift.PSI([]int64{5, 0}, []int64{5, 5})/math.Log(.5/.0001)+.5/math.Log(.5/.0001)*math.Log(.5)+.5, 1e-12)
	assert.InDelta(t, 1, drift.JensenShannon([]int64{1, 0}, []int64{0, 1}), 1e-15)
	statistic, freedom := drift.ChiSquare(r, c)
	assert.InDelta(t, 8.0/15, statistic, 1e-15)
	assert.Equal(t, 1, freedom)
	for _, none := range [][]int64{nil, {0, 0}} {
		assert.Zero(t, drift.PSI(r[:len(none)], none))
		assert.Zero(t, drift.JensenShannon(none, r[:len(none)]))
		_, freedom := drift.ChiSquare(none, r[:len(none)])
		assert.Zero(t, freedom)
	}
}

// profileOf profiles one column of numbers.
func profileOf(t *testing.T, values []float64) *drift.Profile {
	t.Helper()
	s := data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}}}
	p := drift.NewProfile(s)
	require.NoError(t, p.Observe(&data.Batch{Schema: s, NumRows: len(values), Columns: []*data.Column{{Type: data.Float64, Float64s: values}}}, nil))
	return p
}

func normal(name string, n int, mean float64) []float64 {
	g := rng.New(1, name)
	values := make([]float64, n)
	for i := range values {
		values[i] = g.NormFloat64() + mean
	}
	return values
}

// Bins over both tables together lose a shift of two deviations to one outlier,
// and a distance in deviations sees a shift where there is one outlier only.
func TestOneOutlierNeitherHidesNorFeignsDrift(t *testing.T) {
	t.Parallel()
	ref := profileOf(t, normal("reference", 5000, 0))
	for _, c := range []struct {
		name    string
		mean    float64
		drifted bool
	}{{"shifted", 2, true}, {"alike", 0, false}} {
		values := normal(c.name, 5000, c.mean)
		without, err := drift.Compare(ref, profileOf(t, values), drift.Config{})
		require.NoError(t, err)
		with, err := drift.Compare(ref, profileOf(t, append(values, 1e6)), drift.Config{})
		require.NoError(t, err)
		assert.Equal(t, c.drifted, without.DriftDetected)
		assert.Equal(t, c.drifted, with.DriftDetected)
		assert.InDelta(t, without.Columns[0].Statistic, with.Columns[0].Statistic, 0.01)
	}
}

// A small sample of one distribution often has a PSI above 0.2 by chance alone; the
// bound is to let at most about one column in twenty through.
func TestSmallTablesDoNotDriftByChance(t *testing.T) {
	t.Parallel()
	for _, m := range []drift.Method{drift.Auto, drift.KSMethod, drift.ChiSquareMethod} {
		large, drifted := 0, 0
		for i := range 100 {
			name := strconv.Itoa(i)
			r, err := drift.Compare(profileOf(t, normal("r"+name, 200, 0)), profileOf(t, normal("c"+name, 80, 0)), drift.Config{Method: m})
			require.NoError(t, err)
			if r.DriftDetected {
				drifted++
			}
			if r.Columns[0].Statistics[drift.PSIMethod] > 0.2 {
				large++
			}
		}
		assert.Greater(t, large, 20, "the bound is needed")
		assert.LessOrEqual(t, drifted, 8, m)
		r, err := drift.Compare(profileOf(t, normal("r", 200, 0)), profileOf(t, normal("c", 80, 2)), drift.Config{Method: m})
		require.NoError(t, err)
		assert.True(t, r.DriftDetected, "a real shift is seen all the same: %v", m)
	}
}

func TestMissingAndUnseenValuesAreBins(t *testing.T) {
	t.Parallel()
	rows := func(n int, word string, missing uint8) []row {
		return slices.Repeat([]row{{number: 1, word: word, missing: missing}}, n)
	}
	ref, cur := newProfile(t, drift.DefaultLimits()), newProfile(t, drift.DefaultLimits())
	require.NoError(t, ref.Observe(batchOf(rows(1000, "a", 0)), nil))
	require.NoError(t, cur.Observe(batchOf(slices.Concat(rows(500, "a", 0), rows(300, "b", 1), rows(200, "c", 8))), nil))
	r, err := drift.Compare(ref, cur, drift.Config{Methods: map[string]drift.Method{"whole": drift.KSMethod}})
	require.NoError(t, err)
	assert.Equal(t, []string{"number", "word"}, r.Drifted)
	assert.Equal(t, []drift.Bin{{Name: "to 1", Reference: 1, Current: .7}, {Name: "above 1"}, {Name: "(missing)", Current: .3}}, r.Columns[0].Bins)
	assert.Equal(t, []drift.Bin{{Name: "a", Reference: 1, Current: .5}, {Name: "(unseen)", Current: .3}, {Name: "(missing)", Current: .2}}, r.Columns[3].Bins)
	assert.InDelta(t, .3, r.Columns[0].CurrentMissing, 1e-15)
	assert.True(t, r.DriftDetected, "2 of 4 columns are half")
	r, err = drift.Compare(ref, cur, drift.Config{Share: 0.51})
	require.NoError(t, err)
	assert.False(t, r.DriftDetected)
}

// A few values more take a table past the cap, and its values are rounded; those
// of the other table then are, too.
func TestRoundedValuesAreHeldAgainstRoundedOnes(t *testing.T) {
	t.Parallel()
	var few, many sketch.Quantiles
	few, many = *sketch.NewQuantiles(10), *sketch.NewQuantiles(10)
	for range 1000 {
		few.Observe([]float64{1.1, 2.3, 5.7})
		many.Observe([]float64{1.1, 2.3, 5.7})
	}
	for i := range 20 {
		many.Add(1 + float64(i))
	}
	require.True(t, few.Exact())
	require.False(t, many.Exact())
	assert.Less(t, drift.KolmogorovSmirnov(&few, &many), 0.01)
	assert.Less(t, drift.KolmogorovSmirnov(&many, &few), 0.01)
	assert.Less(t, drift.Wasserstein(&few, &many), 0.05)
}

func TestManyValuesAreListedInPart(t *testing.T) {
	t.Parallel()
	var rows []row
	for i := range 120 {
		rows = append(rows, slices.Repeat([]row{{word: "w" + strconv.Itoa(i)}}, 200-i)...)
	}
	ref, cur := newProfile(t, drift.DefaultLimits()), newProfile(t, drift.DefaultLimits())
	require.NoError(t, ref.Observe(batchOf(rows), nil))
	require.NoError(t, cur.Observe(batchOf(append(rows, row{word: "new"}, row{missing: 8})), nil))
	r, err := drift.Compare(ref, cur, drift.Config{})
	require.NoError(t, err)
	bins := r.Columns[3].Bins
	require.Len(t, bins, 50)
	assert.Equal(t, "w0", bins[0].Name)
	var sums drift.Bin
	for _, b := range bins {
		sums.Reference += b.Reference
		sums.Current += b.Current
	}
	assert.InDelta(t, 1, sums.Reference, 1e-12)
	assert.InDelta(t, 1, sums.Current, 1e-12)
	assert.Equal(t, []string{"(73 others)", "(unseen)", "(missing)"}, []string{bins[47].Name, bins[48].Name, bins[49].Name})
}

func TestWhatDoesNotFitIsInvalid(t *testing.T) {
	t.Parallel()
	full := newProfile(t, drift.DefaultLimits())
	require.NoError(t, full.Observe(batchOf([]row{{}}), nil))
	part, err := full.Select([]string{"word"})
	require.NoError(t, err)
	other, err := drift.NewProfileOf(data.Schema{Fields: []data.Field{{Name: "word", Type: data.Int64}}}, []string{"word"}, drift.DefaultLimits())
	require.NoError(t, err)
	otherBatch := &data.Batch{Schema: data.Schema{Fields: []data.Field{{Name: "word", Type: data.Int64}}}, NumRows: 1, Columns: []*data.Column{data.NewColumn(data.Int64, 1)}}
	require.NoError(t, other.Observe(otherBatch, nil))
	_, errTimes := drift.NewProfileOf(schema, []string{"at"}, drift.DefaultLimits())
	_, errTwice := drift.NewProfileOf(schema, []string{"word", "word"}, drift.DefaultLimits())
	_, errNone := drift.NewProfileOf(schema, []string{"wurd"}, drift.DefaultLimits())
	_, errSelect := full.Select([]string{"wurd"})
	compare := func(r, c *drift.Profile, cfg drift.Config) error {
		_, err := drift.Compare(r, c, cfg)
		return err
	}
	narrow := newProfile(t, drift.Limits{MaxNumbers: 1, MaxStrings: 1, MaxStringBytes: 1})
	for want, err := range map[string]error{
		"always drift":            errTimes,
		"named twice":             errTwice,
		`no column "wurd"; there`: errNone,
		`no column "wurd" in the`: errSelect,
		"expected a number":       other.Observe(batchOf([]row{{}}), nil),
		"expected a string":       part.Observe(otherBatch, nil),
		"no column \"number\"":    compare(full, part, drift.Config{}),
		"is a string in":          compare(part, other, drift.Config{}),
		"current table has no r":  compare(full, newProfile(t, drift.DefaultLimits()), drift.Config{}),
		"reference has no rows":   compare(newProfile(t, drift.DefaultLimits()), full, drift.Config{}),
		"unknown method \"kss\"":  compare(full, full, drift.Config{Method: "kss"}),
		"numbers only":            compare(full, full, drift.Config{Methods: map[string]drift.Method{"word": drift.KSMethod}}),
		"a method is given for":   compare(full, full, drift.Config{Methods: map[string]drift.Method{"wurd": drift.Auto}}),
		"the target \"wurd\"":     compare(full, full, drift.Config{Target: "wurd"}),
		"share of columns is 1.5": compare(full, full, drift.Config{Share: 1.5}),
		"different limits":        full.Merge(narrow),
		"merge: columns":          full.Merge(part),
	} {
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
	}
	assert.Equal(t, int64(1), full.Rows())
	assert.Equal(t, []string{"number", "whole", "flag", "word"}, drift.NewProfile(schema).Columns(), "times are left out")
}

func TestDamagedProfilesAreCorrupt(t *testing.T) {
	t.Parallel()
	rows := make([]row, 30)
	for i := range rows {
		rows[i] = row{number: float64(i), whole: int32(i), word: strconv.Itoa(i), missing: uint8(i & 15)}
	}
	for _, l := range []drift.Limits{drift.DefaultLimits(), {MaxNumbers: 5, MaxStrings: 5, MaxStringBytes: 50}} {
		p := newProfile(t, l)
		require.NoError(t, p.Observe(batchOf(rows), nil))
		whole := encoded(t, p)
		var back drift.Profile
		for n := range whole {
			err := back.UnmarshalBinary(whole[:n])
			require.Error(t, err, n)
			require.Equal(t, fault.Corrupt, fault.Of(err))
		}
		rapid.Check(t, func(t *rapid.T) {
			b := slices.Clone(whole)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			err := back.UnmarshalBinary(b)
			require.Error(t, err)
			require.Equal(t, fault.Corrupt, fault.Of(err))
		})
		require.Zero(t, back.Rows())
		require.NoError(t, back.UnmarshalBinary(whole))
		require.Equal(t, whole, encoded(t, &back))
	}
}

func TestTheHTMLReportIsSafeAndWhole(t *testing.T) {
	t.Parallel()
	s := data.Schema{Fields: []data.Field{{Name: "<script>alert(1)</script>", Type: data.Int64}, {Name: "plain", Type: data.Int64}}}
	profile := func(from int64) *drift.Profile {
		p := drift.NewProfile(s)
		c := data.NewColumn(data.Int64, 500)
		for i := range c.Int64s {
			c.Int64s[i] = from + int64(i)
		}
		require.NoError(t, p.Observe(&data.Batch{Schema: s, NumRows: 500, Columns: []*data.Column{c, data.NewColumn(data.Int64, 500)}}, nil))
		return p
	}
	r, err := drift.Compare(profile(0), profile(300), drift.Config{Target: "plain"})
	require.NoError(t, err)
	page, err := r.HTML("October & <more>")
	require.NoError(t, err)
	text := string(page)
	assert.NotContains(t, text, "<script")
	assert.Contains(t, text, "&lt;script&gt;")
	assert.Contains(t, text, "October &amp; &lt;more&gt;")
	assert.Contains(t, text, "Drift detected")
	assert.Contains(t, text, "1 of 2 columns have drifted (50.00 %")
	assert.Contains(t, text, "prefers-color-scheme: dark")
	assert.NotContains(t, text, "ZgotmplZ")
	assert.NotContains(t, text, "://", "nothing is loaded from elsewhere")
	assert.Equal(t, strings.Count(text, "<rect"), 2*(len(r.Columns[0].Bins)+len(r.Columns[1].Bins)))
	again, err := r.HTML("October & <more>")
	require.NoError(t, err)
	assert.Equal(t, page, again)
}
