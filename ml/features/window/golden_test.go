package window_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// golden is what testdata/golden.py has written.
type golden struct {
	Entity []string
	Time   []int64
	X      []*float64
	Series []struct {
		Op         string
		N, Rows    int
		Span       int64
		Current    bool
		MinPeriods int `json:"min_periods"`
		Of         string
		Out        []*float64
	}
}

func TestWindowsAreThoseOfPandas(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(b, &g))
	require.Len(t, g.Series, 65)
	n := len(g.X)
	x, times, starts := data.NewColumn(data.Float64, n), &data.Column{Type: data.Timestamp, Int64s: g.Time}, data.NewBitmap(n)
	x.Valid = data.NewBitmap(n)
	for i, v := range g.X {
		if v != nil {
			x.Float64s[i] = *v
			x.Valid.Set(i)
		}
		if i == 0 || g.Entity[i] != g.Entity[i-1] {
			starts.Set(i)
		}
	}
	for _, s := range g.Series {
		c := window.Config{Op: s.Op, N: s.N, Rows: s.Rows, Span: s.Span, IncludeCurrent: s.Current, MinPeriods: s.MinPeriods}
		in := x
		if s.Of == "time" {
			in = times
		}
		out := newState(t, c, in.Type).Run(in, g.Time, starts)
		for i, want := range s.Out {
			at := fmt.Sprintf("%+v, row %d", c, i)
			if want == nil {
				require.False(t, out.Valid.Get(i), at)
				continue
			}
			require.True(t, out.Valid.Get(i), at)
			require.InDelta(t, *want, number(out, i), 1e-9*max(1, math.Abs(*want)), at)
		}
	}
}

// table reads a file of the reference data, and skips the test where there is
// none.
func readTable(t *testing.T, path string) *data.Batch {
	t.Helper()
	b, err := os.ReadFile("../../../../shared/data/" + path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs ../shared/data beside the repository: ", err)
	}
	require.NoError(t, err)
	f, err := parquet.Open(bytes.NewReader(b), int64(len(b)), path)
	require.NoError(t, err)
	var parts []*data.Batch
	regroup := data.NewRegroup(f.Schema(), int(f.NumRows()), math.MaxInt64)
	for g := range f.NumRowGroups() {
		part, err := f.ReadRowGroup(context.Background(), g, nil)
		require.NoError(t, err)
		parts = append(parts, regroup.Add(part)...)
	}
	if rest := regroup.Rest(); rest != nil {
		parts = append(parts, rest)
	}
	require.Len(t, parts, 1)
	return parts[0]
}

func TestWindowsOfTheAirOfBeijing(t *testing.T) {
	t.Parallel()
	hours, want := readTable(t, "beijing/hourly.parquet"), readTable(t, "beijing/features_dongsi.parquet")
	station, dongsi := hours.Column("station"), data.NewBitmap(hours.NumRows)
	for i, code := range station.Codes {
		if station.Dict[code] == "Dongsi" {
			dongsi.Set(i)
		}
	}
	hours = hours.Keep(dongsi)
	require.Equal(t, want.NumRows, hours.NumRows)
	require.Equal(t, want.Column("ts").Int64s, hours.Column("ts").Int64s)
	const hour = 3_600_000_000
	for _, test := range []struct {
		of, out string
		config  window.Config
	}{
		{"pm25", "pm25_lag1", window.Config{Op: window.Lag, N: 1}},
		{"pm25", "pm25_lag24", window.Config{Op: window.Lag, N: 24}},
		{"pm25", "pm25_mean6", window.Config{Op: window.RollingMean, Rows: 6, IncludeCurrent: true}},
		{"pm25", "pm25_mean6", window.Config{Op: window.RollingMean, Span: 6 * hour, IncludeCurrent: true}},
		{"pm25", "pm25_max24", window.Config{Op: window.RollingMax, Rows: 24, IncludeCurrent: true}},
		{"pm25", "pm25_max24", window.Config{Op: window.RollingMax, Span: 24 * hour, IncludeCurrent: true}},
		{"temp", "temp_std24", window.Config{Op: window.RollingStd, Rows: 24, IncludeCurrent: true}},
		{"temp", "temp_std24", window.Config{Op: window.RollingStd, Span: 24 * hour, IncludeCurrent: true}},
		{"o3", "o3_count168", window.Config{Op: window.RollingCount, Rows: 168, IncludeCurrent: true}},
		{"o3", "o3_count168", window.Config{Op: window.RollingCount, Span: 168 * hour, IncludeCurrent: true}},
	} {
		in, expected := hours.Column(test.of), want.Column(test.out)
		out := newState(t, test.config, in.Type).Run(in, hours.Column("ts").Int64s, nil)
		numNulls := 0
		for i := range expected.Len() {
			at := fmt.Sprintf("%+v, row %d", test.config, i)
			require.Equal(t, expected.Valid.Get(i), out.Valid.Get(i), at)
			if !out.Valid.Get(i) {
				numNulls++
				continue
			}
			v := number(expected, i)
			require.InDelta(t, v, number(out, i), 1e-4*max(1, math.Abs(v)), at)
		}
		require.Less(t, numNulls, expected.Len()/20, "%+v", test.config)
	}
}
