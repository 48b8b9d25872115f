package drift

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

// reference is one column of reference/drift.json, which numpy and scipy have made.
type reference struct {
	Kind             string    `json:"kind"`
	ReferenceMissing float64   `json:"reference_missing"`
	CurrentMissing   float64   `json:"current_missing"`
	ReferenceN       int64     `json:"reference_n"`
	CurrentN         int64     `json:"current_n"`
	ReferenceMean    float64   `json:"reference_mean"`
	KS               float64   `json:"ks"`
	KSP              float64   `json:"ks_p_limit"`
	Wasserstein      float64   `json:"wasserstein"`
	WassersteinNorm  *float64  `json:"wasserstein_norm"`
	Edges            []float64 `json:"edges"`
	Names            []string  `json:"names"`
	ReferenceBins    []int64   `json:"reference_bins"`
	CurrentBins      []int64   `json:"current_bins"`
	PSI              float64   `json:"psi"`
	JS               float64   `json:"js"`
	ChiSquare        float64   `json:"chi2"`
	Freedom          int       `json:"chi2_dof"`
	ChiSquareP       float64   `json:"chi2_p"`
}

type comparison struct {
	ReferenceRows int64                `json:"reference_rows"`
	CurrentRows   int64                `json:"current_rows"`
	Columns       map[string]reference `json:"columns"`
}

const shared = "../../../shared/data"

func comparisons(t *testing.T) map[string]comparison {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(shared, "reference/drift.json"))
	if err != nil {
		t.Skip("needs ../shared/data beside the repository: ", err)
	}
	var all struct {
		Tasks map[string]comparison `json:"tasks"`
	}
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all.Tasks, 9)
	return all.Tasks
}

// side says which of the two tables a row belongs to: 1, 2 or 0 for neither.
type side func(b *data.Batch, row int, file string, index int64) int

func at(s string) time.Time {
	v, err := time.Parse("2006-01-02", s)
	if err != nil {
		panic(err)
	}
	return v
}

func micros(b *data.Batch, name string, row int) time.Time {
	return time.UnixMicro(b.Column(name).Int64s[row]).UTC()
}

func day(b *data.Batch, name string, row int) time.Time {
	return time.Unix(int64(b.Column(name).Int32s[row])*86_400, 0).UTC()
}

func either(first bool) int {
	if first {
		return 1
	}
	return 2
}

// cases are the files and filters of the comparisons.
var cases = map[string]struct {
	files string
	extra string // a column that the filter reads
	side  side
}{
	"bike_feb": {"bike/hour.parquet", "ts", func(b *data.Batch, row int, _ string, _ int64) int {
		ts := micros(b, "ts", row)
		switch {
		case ts.Before(at("2011-01-29")):
			return 1
		case ts.Before(at("2011-03-01")):
			return 2
		}
		return 0
	}},
	"bike_year": {"bike/hour.parquet", "ts", func(b *data.Batch, row int, _ string, _ int64) int {
		return either(micros(b, "ts", row).Before(at("2012-01-01")))
	}},
	"bike_none": {"bike/hour.parquet", "", func(_ *data.Batch, _ int, _ string, index int64) int {
		return either(index*37%101 < 50)
	}},
	"flights_half": {"flights/flights.parquet", "flight_date", func(b *data.Batch, row int, _ string, _ int64) int {
		return either(day(b, "flight_date", row).Before(at("2011-07-01")))
	}},
	"flights_months": {"flights/flights.parquet", "flight_date", func(b *data.Batch, row int, _ string, _ int64) int {
		if m := day(b, "flight_date", row).Month(); m <= time.February {
			return int(m)
		}
		return 0
	}},
	"adult_education": {"adult/train.parquet", "", func(b *data.Batch, row int, _ string, _ int64) int {
		c := b.Column("education")
		return either(!slices.Contains([]string{"Some-college", "HS-grad", "Bachelors"}, c.Dict[c.Codes[row]]))
	}},
	"adult_none": {"adult/*.parquet", "", func(_ *data.Batch, _ int, file string, _ int64) int {
		return either(file == "train.parquet")
	}},
	"diamonds_order": {"diamonds/diamonds.parquet", "", func(_ *data.Batch, _ int, _ string, index int64) int {
		return either(index < 26_970)
	}},
	"retail_season": {"retail/events/*/*.parquet", "invoice_ts", func(b *data.Batch, row int, _ string, _ int64) int {
		switch ts := micros(b, "invoice_ts", row); {
		case ts.Before(at("2011-03-01")):
			return 1
		case !ts.Before(at("2011-06-01")):
			return 2
		}
		return 0
	}},
}

// profiles reads the rows of a comparison, of its columns alone.
func profiles(t *testing.T, task string, columns []string) (ref, cur *Profile) {
	t.Helper()
	c := cases[task]
	files, err := filepath.Glob(filepath.Join(shared, c.files))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	slices.Sort(files)
	index := int64(0)
	read := slices.Clone(columns)
	if c.extra != "" {
		read = append(read, c.extra)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		f, err := parquet.Open(bytes.NewReader(raw), int64(len(raw)), filepath.Base(name))
		require.NoError(t, err)
		if ref == nil {
			ref, err = NewProfileOf(f.Schema(), columns, DefaultLimits())
			require.NoError(t, err)
			cur, err = NewProfileOf(f.Schema(), columns, DefaultLimits())
			require.NoError(t, err)
		}
		for g := range f.NumRowGroups() {
			b, err := f.ReadRowGroup(context.Background(), g, read)
			require.NoError(t, err)
			masks := [3]data.Bitmap{data.NewBitmap(b.NumRows), data.NewBitmap(b.NumRows), data.NewBitmap(b.NumRows)}
			for i := range b.NumRows {
				masks[c.side(b, i, filepath.Base(name), index)].Set(i)
				index++
			}
			for i := range b.Columns {
				asText(b, i)
			}
			require.NoError(t, ref.Observe(b, masks[1]))
			require.NoError(t, cur.Observe(b, masks[2]))
		}
	}
	return ref, cur
}

// asText makes float32 columns the float64 that their shortest decimals are: the
// reference was made from text.
func asText(b *data.Batch, i int) {
	c := b.Columns[i]
	if c.Type != data.Float32 {
		return
	}
	wide := data.NewColumn(data.Float64, c.Len())
	wide.Valid = c.Valid
	for k, v := range c.Float32s {
		wide.Float64s[k], _ = strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64) //nolint:errcheck // just formatted
	}
	b.Columns[i], b.Schema.Fields[i].Type = wide, data.Float64
}

func near(t *testing.T, want, got, relative float64, what string) {
	t.Helper()
	assert.InDelta(t, want, got, relative*math.Abs(want)+1e-14, what)
}

// Every comparison and column of the reference: bins and KS to the last bit,
// the others to 1e-9 (p-values, which only the report's 6 digits need, to 1e-8).
func TestStatisticsAreThoseOfTheReference(t *testing.T) {
	t.Parallel()
	for task, want := range comparisons(t) {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			columns := make([]string, 0, len(want.Columns))
			for name := range want.Columns {
				columns = append(columns, name)
			}
			slices.Sort(columns)
			ref, cur := profiles(t, task, columns)
			require.Equal(t, [2]int64{want.ReferenceRows, want.CurrentRows}, [2]int64{ref.Rows(), cur.Rows()})
			report, err := Compare(ref, cur, Config{})
			require.NoError(t, err)
			checkVerdicts(t, task, ref, cur)
			for i, name := range columns {
				if w := want.Columns[name]; w.Kind == "number" {
					checkNumber(t, name, w, ref.column(name), cur.column(name), report.Columns[i])
				} else {
					checkValues(t, name, w, ref.column(name), cur.column(name), report.Columns[i])
				}
			}
		})
	}
}

func checkNumber(t *testing.T, name string, w reference, ref, cur *column, got Column) {
	t.Helper()
	require.Equal(t, Number, ref.kind, name)
	assert.InDelta(t, w.ReferenceMissing, got.ReferenceMissing, 1e-15, name)
	assert.InDelta(t, w.CurrentMissing, got.CurrentMissing, 1e-15, name)
	require.Equal(t, [2]int64{w.ReferenceN, w.CurrentN}, [2]int64{ref.numbers.N(), cur.numbers.N()}, name)
	require.Equal(t, w.Edges, edgesOf(ref.numbers), name)
	b := numberBins(ref.numbers, cur.numbers, w.Edges) // as the reference, without a bin for missing values
	require.Equal(t, w.ReferenceBins, b.reference, name)
	require.Equal(t, w.CurrentBins, b.current, name)
	near(t, w.PSI, PSI(b.reference, b.current), 1e-9, name)
	near(t, w.JS, JensenShannon(b.reference, b.current), 1e-9, name)
	if w.ReferenceMissing == 0 && w.CurrentMissing == 0 {
		near(t, w.PSI, got.Statistics[PSIMethod], 1e-9, name)
		near(t, w.JS, got.Statistics[JSMethod], 1e-9, name)
	} else {
		assert.Equal(t, missingBin, got.Bins[len(got.Bins)-1].Name, name)
		assert.Greater(t, got.Statistics[PSIMethod], 0.0, name)
	}
	ks := got.Statistics[KSMethod]
	assert.Equal(t, math.Float64bits(w.KS), math.Float64bits(ks), "%s: %v and %v", name, w.KS, ks)
	n, m := float64(w.ReferenceN), float64(w.CurrentN)
	near(t, w.KSP, kolmogorovTail(ks*math.Sqrt(n*m/(n+m))), 1e-8, name)
	if w.WassersteinNorm != nil {
		near(t, *w.WassersteinNorm, got.Statistics[WassersteinMethod], 1e-9, name)
	} else { // the reference is one value: in units of that
		near(t, w.Wasserstein/math.Abs(w.ReferenceMean), got.Statistics[WassersteinMethod], 1e-9, name)
	}
}

func checkValues(t *testing.T, name string, w reference, ref, cur *column, got Column) {
	t.Helper()
	require.NotEqual(t, Number, ref.kind, name)
	b := valueBins(ref.values, cur.values, true) // as the reference, a bin for each unseen value
	if r, c := ref.missing, cur.missing; r > 0 || c > 0 {
		b.add(missingBin, r, c)
	}
	for i, value := range w.Names {
		if ref.kind == Bool {
			value = strings.ToLower(value)
		}
		k := slices.Index(b.names, value)
		require.GreaterOrEqual(t, k, 0, "%s: %s", name, value)
		require.Equal(t, [2]int64{w.ReferenceBins[i], w.CurrentBins[i]}, [2]int64{b.reference[k], b.current[k]}, "%s: %s", name, value)
	}
	near(t, w.PSI, PSI(b.reference, b.current), 1e-9, name)
	statistic, freedom := ChiSquare(b.reference, b.current)
	require.Equal(t, w.Freedom, freedom, name)
	near(t, w.ChiSquare, statistic, 1e-9, name)
	near(t, w.ChiSquareP, chiSquareTail(statistic, freedom), 1e-8, name)

	// Unseen values together leave both of these as they are, and PSI no smaller.
	near(t, w.JS, got.Statistics[JSMethod], 1e-9, name)
	near(t, w.ChiSquare, got.Statistics[ChiSquareMethod], 1e-9, name)
	assert.GreaterOrEqual(t, got.Statistics[PSIMethod], w.PSI-1e-12, name)
	if !slices.Contains(w.ReferenceBins, 0) && len(w.Names) > 0 {
		near(t, w.PSI, got.Statistics[PSIMethod], 1e-9, name)
	}
}

// clearly is what has drifted by every method, beside maybe more; nothing at
// all in the two controls.
var clearly = map[string][]string{
	"bike_feb": {"month", "atemp", "temp"}, "bike_year": {"registered", "cnt"}, "bike_none": nil, "adult_none": nil,
	"adult_education": {"education", "education_num"}, "diamonds_order": {"price", "y", "x", "carat"},
	"flights_months": {"tail_num"}, "flights_half": {"flight_num", "tail_num"}, "retail_season": {"stock_code"},
}

func checkVerdicts(t *testing.T, task string, ref, cur *Profile) {
	t.Helper()
	for _, m := range []Method{Auto, KSMethod, WassersteinMethod, JSMethod, ChiSquareMethod} {
		r, err := Compare(ref, cur, Config{Method: m})
		require.NoError(t, err)
		if clearly[task] == nil {
			assert.Empty(t, r.Drifted, m)
		}
		for _, name := range clearly[task] {
			assert.Contains(t, r.Drifted, name, m)
		}
	}
}
