package run

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// filtered writes the rows of files for which a condition is true, row group by
// row group: the dumb twin of where.
func filtered(t *testing.T, where, to string, from ...string) {
	t.Helper()
	p, err := data.ParsePredicate(where)
	require.NoError(t, err)
	var out []*data.Batch
	for _, b := range readTable(t, from...) {
		f, err := p.Bind(b.Schema)
		require.NoError(t, err)
		rows, err := f.Eval(b)
		require.NoError(t, err)
		if kept := b.Keep(rows); kept.NumRows > 0 {
			out = append(out, kept)
		}
	}
	writeTable(t, to, out)
}

const someRows = "amount is not null and (kind in ('food', 'toys') or count >= 3) and ts >= '1970-01-01 00:20:00'"

func TestRowsThatWhereLeavesOutAreAsIfTheyWereNotThere(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	parts, err := List(t.Context(), nil, filepath.Join(folder, "in"))
	require.NoError(t, err)
	twin := t.TempDir()
	sales(t, filepath.Join(twin, "in"), 1, 1, 1, 0) // makes the folder
	filtered(t, someRows, filepath.Join(twin, "in", "part-00.parquet"), parts...)

	w, other := bench(t, folder), bench(t, twin)
	features, expected := w.succeed(featuresSpec+"where: "+someRows+"\n"), other.succeed(featuresSpec)
	require.Less(t, features.RowsIn, int64(4200))
	require.Equal(t, expected.RowsOut, features.RowsOut)
	require.Equal(t, features.RowsIn, features.RowsOut)
	m, errs := Verify(t.Context(), nil, w.path("out/features"))
	require.Empty(t, errs)
	n, errs := Verify(t.Context(), nil, other.path("out/features"))
	require.Empty(t, errs)
	require.Equal(t, n.Parts[0].Digest, m.Parts[0].Digest, "the same bytes")
	require.Equal(t, int64(4200), m.Parts[0].RowsIn+m.Parts[0].RowsFiltered)

	lifted := strings.Replace(trainSpec, "input: in\n", "input: {path: in, where: \""+someRows+"\"}\n", 1)
	train, twinTrain := w.succeed(lifted), other.succeed(trainSpec)
	require.Equal(t, twinTrain.Digest, train.Digest)
	require.Equal(t, twinTrain.RowsIn, train.RowsIn)

	random := strings.Replace(lifted, "split: {by: time, column: ts,", "split: {by: random,", 1)
	require.Equal(t, train.RowsIn, w.succeed(random).RowsIn)

	predict := w.succeed(predictSpec(train.ModelURI) + "where: " + someRows + "\n")
	require.Equal(t, features.RowsOut, predict.RowsOut)
	require.True(t, w.succeed(predictSpec(train.ModelURI)+"where: ("+someRows+")\n").Unchanged, "the same condition in other words")

	none := w.succeed(strings.Replace(predictSpec(train.ModelURI), "out/scored", "out/none", 1) + "where: amount < -5\n")
	require.Zero(t, none.RowsOut)
	_, errs = Verify(t.Context(), nil, w.path("out/none"))
	require.Empty(t, errs)
}

func TestRowGroupsWithoutARowThatCountsAreNotRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	w := bench(t, folder)
	look := func(where string) *Dataset {
		p, err := w.env.Preview(t.Context(), w.parse(featuresSpec+where))
		require.NoError(t, err)
		return p.Survey.Input
	}
	all, late := look(""), look("where: ts >= '1970-01-01 00:46:40'\n")
	require.Zero(t, all.Pruned)
	require.EqualValues(t, 4*700, late.Pruned, "times ascend: the last 1400 s are in the last two groups")
	require.InDelta(t, all.Bytes/3, late.Bytes, float64(all.Bytes)/50)
	require.Equal(t, all.Rows, late.Rows)

	require.Equal(t, all.ReadBytes, all.TotalBytes, "the job reads every column")
	require.Equal(t, all.TotalBytes, late.TotalBytes)
	require.InDelta(t, all.TotalBytes/3, late.ReadBytes, float64(all.TotalBytes)/20)
	p, err := w.env.Preview(t.Context(), w.parse("kind: drift\nname: d\nreference: in\ncurrent: {path: in, where: count > 2}\ncolumns: {include: [kind]}\n"))
	require.NoError(t, err)
	kind, count := p.Survey.Input.stored["kind"], p.Survey.Input.stored["count"]
	require.Equal(t, kind+count, p.Survey.Input.ReadBytes)
	require.Equal(t, kind, p.Survey.Reference.ReadBytes)
}

func TestAConditionThatDoesNotFitTheDataIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 50, 0)
	w := bench(t, folder)
	for where, say := range map[string]string{
		"price > 3":       `where: no column "price"; there are amount, count`,
		"kind > 3":        `column "kind": it holds strings, 3 is none: write '3'`,
		"ts > 'noon'":     `"noon" is no time`,
		"count = 'three'": `column "count": it holds numbers`,
	} {
		require.Contains(t, w.fails(featuresSpec+"where: "+where+"\n"), say)
	}
	for _, learns := range []string{featuresSpec, trainSpec, strings.Replace(trainSpec, "by: time, column: ts", "by: random", 1)} {
		require.Contains(t, w.fails(learns+"where: amount < -5\n"), "where: amount < -5: is true of no row")
	}
}

// The months of the reference are rows of one file.
func TestDriftBetweenTwoPartsOfAFileMeetsTheReference(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	w := bench(t, t.TempDir())
	flights := filepath.Join(dir, "flights", "flights.parquet")
	d := w.succeed("kind: drift\nname: months\nmethod: psi\nreference: {path: " + flights + ", where: \"flight_date < '2011-02-01'\"}\n" +
		"current: {path: " + flights + ", where: flight_date >= '2011-02-01' and flight_date < '2011-03-01'}\ncolumns: {include: [cancelled, day_of_week, cancellation_code]}\n")
	require.EqualValues(t, 17128, d.RowsIn)
	for column, psi := range map[string]float64{"cancelled": 0.0978, "day_of_week": 0.0147, "cancellation_code": 0.101} {
		require.InDelta(t, psi, d.Columns[column].Statistic, 0.0006, column)
	}
}

func TestAShardThatHasOtherRowsThanAtTheSurveyIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 50, 0)
	w := bench(t, folder)
	d, err := openDataset(t.Context(), w.env.Files, filepath.Join(folder, "in"), nil)
	require.NoError(t, err)
	require.NoError(t, d.readShard(t.Context(), 0, nil, func(*data.Batch, rowNumbers) error { return nil }))
	d.Shards[0].Rows--
	err = d.readShard(t.Context(), 0, nil, func(*data.Batch, rowNumbers) error { return nil })
	require.Equal(t, fault.Conflict, fault.Of(err))
	require.ErrorContains(t, err, "shard 0 has 100 rows, had 99 when the job began")
}
