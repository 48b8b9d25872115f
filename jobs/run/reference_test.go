package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// The tests in this file hold features jobs against the tables of features that
// come with the real data, to their tolerance. What the tables' columns mean is
// told in the README of the data.

// written reads all parts of what a job has written.
func written(t *testing.T, w *workbench, dir string) []*data.Batch {
	t.Helper()
	parts, err := List(t.Context(), nil, w.path(dir))
	require.NoError(t, err)
	return readTable(t, parts...)
}

// textsOf returns a column of texts of all parts of an output.
func textsOf(t *testing.T, batches []*data.Batch, name string) []string {
	t.Helper()
	var out []string
	for _, b := range batches {
		c := b.Column(name)
		require.Equal(t, data.String, c.Type, name)
		for i := range b.NumRows {
			text := "null"
			if c.Valid.Get(i) {
				text = c.Dict[c.Codes[i]]
			}
			out = append(out, text)
		}
	}
	return out
}

// requireClose compares two columns, in which NaN stands for null.
func requireClose(t *testing.T, name string, want, got []float64, tolerance float64) {
	t.Helper()
	require.Len(t, got, len(want), name)
	there := 0
	for i := range want {
		if !math.IsNaN(want[i]) {
			there++
		}
		if math.IsNaN(want[i]) != math.IsNaN(got[i]) || math.Abs(want[i]-got[i]) > tolerance*math.Abs(want[i])+1e-9 {
			require.Failf(t, name, "row %d: got %v, want %v", i, got[i], want[i])
		}
	}
	require.Greater(t, there, len(want)/3, "%s: too few values to compare", name)
}

// keysOf joins the columns that tell rows apart.
func keysOf(t *testing.T, batches []*data.Batch, names ...string) []string {
	t.Helper()
	var columns [][]string
	for _, name := range names {
		if batches[0].Column(name).Type == data.String {
			columns = append(columns, textsOf(t, batches, name))
			continue
		}
		var words []string
		for _, v := range floatsOf(batches, name) {
			words = append(words, fmt.Sprint(v))
		}
		columns = append(columns, words)
	}
	keys := make([]string, len(columns[0]))
	for i := range keys {
		var parts []string
		for _, c := range columns {
			parts = append(parts, c[i])
		}
		keys[i] = strings.Join(parts, "|")
	}
	return keys
}

// pick returns the values of rows.
func pick[T any](values []T, rows []int) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = values[r]
	}
	return out
}

// find returns the row of each key, of those that keep keeps; of several, the
// last.
func find(t *testing.T, wanted, keys []string, keep func(row int) bool) []int {
	t.Helper()
	at := make(map[string]int, len(wanted))
	for i, k := range keys {
		if keep(i) {
			at[k] = i
		}
	}
	rows := make([]int, len(wanted))
	for i, k := range wanted {
		row, ok := at[k]
		require.True(t, ok, "there is no row %s", k)
		rows[i] = row
	}
	return rows
}

func everyRow(int) bool { return true }

// The windows of one station's hours, of rows and of time, are the reference's,
// computed for all six stations at once and for one alone.
func TestTheAirOfBeijing(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	want := readTable(t, filepath.Join(dir, "beijing/features_dongsi.parquet"))
	const job = `
kind: features
name: air
input: %q
output: out
entity: station
timestamp: ts
%s
features:
  - {name: pm25_lag1,   op: lag, of: pm25}
  - {name: pm25_lag24,  op: lag, of: pm25, n: 24}
  - {name: pm25_mean6,  op: rolling_mean,  of: pm25, window: 6,   include_current: true}
  - {name: pm25_max24,  op: rolling_max,   of: pm25, window: 24,  include_current: true}
  - {name: temp_std24,  op: rolling_std,   of: temp, window: 24,  include_current: true}
  - {name: o3_count168, op: rolling_count, of: o3,   window: 168, include_current: true}
  - {name: mean6_of_time,  op: rolling_mean,  of: pm25, window: 6h,  include_current: true}
  - {name: max24_of_time,  op: rolling_max,   of: pm25, window: 24h, include_current: true}
  - {name: std24_of_time,  op: rolling_std,   of: temp, window: 1d,  include_current: true}
  - {name: count_of_time,  op: rolling_count, of: o3,   window: 1w,  include_current: true}
`
	for _, where := range []string{"", "where: station = 'Dongsi'"} {
		w := bench(t, t.TempDir())
		w.succeed(fmt.Sprintf(job, filepath.Join(dir, "beijing/hourly.parquet"), where))
		got := written(t, w, "out")
		rows := find(t, keysOf(t, want, "station", "ts"), keysOf(t, got, "station", "ts"), everyRow)
		require.True(t, slices.IsSorted(rows), "the order of the input")
		for name, as := range map[string]string{
			"pm25_lag1": "", "pm25_lag24": "", "pm25_mean6": "mean6_of_time", "pm25_max24": "max24_of_time",
			"temp_std24": "std24_of_time", "o3_count168": "count_of_time",
		} {
			requireClose(t, name, floatsOf(want, name), pick(floatsOf(got, name), rows), 1e-4)
			if as != "" {
				requireClose(t, as, floatsOf(want, name), pick(floatsOf(got, as), rows), 1e-4)
			}
		}
	}
}

// The aggregates of the first 48 hours of each stay and parameter are those of
// windows of time that have the current row, at the last row of both: of equal
// times the later row of the input.
func TestTheMeasurementsOfIntensiveCare(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	want := readTable(t, filepath.Join(dir, "icu/features_48h.parquet"))
	w := bench(t, t.TempDir())
	w.succeed(fmt.Sprintf(`
kind: features
name: icu
input: %q
where: event_ts <= timestamp '2000-01-03 00:00:00'
output: out
entity: [record_id, parameter]
timestamp: event_ts
keep: [record_id, parameter]
features:
  - {name: n,     op: rolling_count, of: value, window: 3d, include_current: true}
  - {name: mean,  op: rolling_mean,  of: value, window: 3d, include_current: true}
  - {name: min,   op: rolling_min,   of: value, window: 3d, include_current: true}
  - {name: max,   op: rolling_max,   of: value, window: 3d, include_current: true}
  - {name: first, op: rolling_first, of: value, window: 3d, include_current: true}
  - {name: last,  op: rolling_last,  of: value, window: 3d, include_current: true}
`, filepath.Join(dir, "icu/events")))
	got := written(t, w, "out")
	n := floatsOf(got, "n")
	keys := keysOf(t, got, "record_id", "parameter")
	rows := make(map[string]int, len(keys)) // n grows by one from row to row
	for i, k := range keys {
		if last, ok := rows[k]; !ok || n[i] > n[last] {
			rows[k] = i
		}
	}
	at := find(t, keysOf(t, want, "record_id", "parameter"), keys, func(i int) bool { return rows[keys[i]] == i })
	require.Len(t, rows, len(at), "the table has every stay and parameter")
	for _, name := range []string{"n", "mean", "min", "max", "first", "last"} {
		requireClose(t, name, floatsOf(want, name), pick(floatsOf(got, name), at), 1e-6)
	}
}

const retailJob = `
kind: features
name: customers
input: in
output: out
entity: customer_id
timestamp: invoice_ts
keep: [customer_id, invoice_ts, invoice_no]
features:
  - {name: bought,   op: expr, expr: "if(quantity > 0, invoice_no, null)"}
  - {name: product,  op: expr, expr: "if(quantity > 0, stock_code, null)"}
  - {name: items,    op: expr, expr: "if(quantity > 0, quantity, null)"}
  - {name: when,     op: expr, expr: "if(quantity > 0, invoice_ts, null)"}
  - {name: spend,    op: expr, expr: quantity * unit_price}
  - {name: returned, op: expr, expr: "if(starts_with(invoice_no, 'C'), true, null)"}

  - {name: invoices_30d,     op: rolling_count_distinct, of: bought,  window: 30d}
  - {name: invoices_90d,     op: rolling_count_distinct, of: bought,  window: 90d}
  - {name: products_90d,     op: rolling_count_distinct, of: product, window: 90d}
  - {name: return_lines_90d, op: rolling_count, of: returned, window: 90d}
  - {name: last_country,     op: rolling_last,  of: country,  window: 1000000}
  - {name: spend_30d,        op: rolling_sum,   of: spend,    window: 30d}
  - {name: spend_90d,        op: rolling_sum,   of: spend,    window: 90d}
  - {name: sum_30d,          op: rolling_sum,   of: items,    window: 30d}
  - {name: net_spend_30d,    op: expr, expr: "coalesce(spend_30d, 0)"}
  - {name: net_spend_90d,    op: expr, expr: "coalesce(spend_90d, 0)"}
  - {name: items_30d,        op: expr, expr: "coalesce(sum_30d, 0)"}

  - {name: last_time,    op: rolling_last, of: when, window: 1000000}
  - {name: recency_days, op: expr, expr: (invoice_ts - last_time) / 86400}

  - {name: invoices,      op: rolling_count_distinct, of: bought, window: 1000000}
  - {name: with_this,     op: rolling_count_distinct, of: bought, window: 1000000, include_current: true}
  - {name: begins,        op: expr, expr: "if(with_this > invoices, invoice_ts, null)"}
  - {name: first_begins,  op: rolling_first, of: begins, window: 1000000}
  - {name: last_begins,   op: rolling_last,  of: begins, window: 1000000}
  - {name: mean_gap_days, op: expr, expr: (last_begins - first_begins) / (invoices - 1) / 86400}
`

// Every customer's state at given moments: the moments are rows of one more file
// of the input, and windows without the current row are what was known before.
//
// The reference's windows are [as_of - w, as_of), ours (as_of - w, as_of): no row
// of the data is at exactly as_of - w, so it makes no difference here. The mean
// gap is that between the beginnings of invoices, (last - first) / (number - 1),
// over all time before; a row begins an invoice when with it there is one more.
// Left out is bought_next_30d: it is the label, and no window looks ahead.
func TestTheCustomersOfRetail(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	want := readTable(t, filepath.Join(dir, "retail/features.parquet"))
	w := bench(t, t.TempDir())
	require.NoError(t, os.CopyFS(w.path("in"), os.DirFS(filepath.Join(dir, "retail/events"))))
	moments := make([]*data.Batch, len(want))
	for i, b := range want {
		moments[i] = &data.Batch{NumRows: b.NumRows, Columns: []*data.Column{b.Column("customer_id"), b.Column("as_of")}, Schema: data.Schema{
			Fields: []data.Field{{Name: "customer_id", Type: data.Int32}, {Name: "invoice_ts", Type: data.Timestamp}},
		}}
	}
	require.NoError(t, os.Mkdir(w.path("in/month=none"), 0o755))
	writeTable(t, w.path("in/month=none/moments.parquet"), moments)
	w.succeed(retailJob)

	got := written(t, w, "out")
	moment := textsOf(t, got, "invoice_no")
	rows := find(t, keysOf(t, want, "customer_id", "as_of"), keysOf(t, got, "customer_id", "invoice_ts"), func(i int) bool { return moment[i] == "null" })
	for _, name := range []string{
		"recency_days", "invoices_30d", "invoices_90d", "net_spend_30d", "net_spend_90d", "items_30d", "products_90d", "return_lines_90d", "mean_gap_days",
	} {
		requireClose(t, name, floatsOf(want, name), pick(floatsOf(got, name), rows), 1e-6)
	}
	require.Equal(t, textsOf(t, want, "last_country"), pick(textsOf(t, got, "last_country"), rows))
}
