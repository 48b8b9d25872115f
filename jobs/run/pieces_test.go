package run

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
)

// Pieces follow each other, hold every row, and take about as much as they
// should, however long the rows are.
func TestPiecesAreARowGroup(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.Int64Range(1, 1<<26).Draw(t, "rows")
		perRow := rapid.SampledFrom([]int64{1, 3, 8, 60, 500, 40_000, 5 << 20}).Draw(t, "bytes of a row")
		pieces := cut(rows, rows*perRow)
		at := int64(0)
		for _, p := range pieces {
			require.Equal(t, at, p.From)
			require.Greater(t, p.To, p.From)
			at = p.To
			if n := p.To - p.From; n > 2*64 && n > 2*fewestRows {
				require.LessOrEqual(t, n*perRow, int64(3*pieceBytes), "%d rows", n)
			} else if n > 2*64 {
				require.LessOrEqual(t, n*perRow, int64(2*mostBytes), "%d rows", n)
			}
		}
		require.Equal(t, rows, at)
	})
	require.Equal(t, []parquet.RowSpan{{}}, cut(0, 0))
	require.Equal(t, []parquet.RowSpan{{From: 0, To: 131072}, {From: 131072, To: 262144}, {From: 262144, To: 300000}}, cut(300_000, 300_000*64),
		"whole pages of our own files")
}

// joined returns batches as one.
func joined(batches []*data.Batch) *data.Batch {
	r := data.NewRegroup(batches[0].Schema, 1<<24, 1<<34)
	for _, b := range batches {
		r.Add(b)
	}
	return r.Rest()
}

// A job over one large row group does as over many small ones; its output has
// row groups that fit.
func TestALargeRowGroupIsReadInPieces(t *testing.T) {
	t.Parallel()
	const groups, rows = 12, 30_000
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "small"), 1, groups, rows, 0)
	small := readTable(t, filepath.Join(folder, "small/part-00.parquet"))
	sales(t, filepath.Join(folder, "large"), 1, 1, 1, 0)
	whole := joined(small)
	writeTable(t, filepath.Join(folder, "large", "part-00.parquet"), []*data.Batch{whole})
	w := bench(t, folder)
	for _, where := range []string{"", "where: count > 2 and amount > 20\n"} {
		var outputs [2][]*data.Batch
		for i, input := range []string{"small", "large"} {
			spec := replace(replace(featuresSpec, "input: in", "input: "+input), "out/features", fmt.Sprintf("out/%s%d", input, len(where)))
			s := w.succeed(where + spec)
			require.Positive(t, s.RowsOut)
			parts, err := filepath.Glob(w.path(fmt.Sprintf("out/%s%d/part-*.parquet", input, len(where))))
			require.NoError(t, err)
			outputs[i] = readTable(t, parts...)
		}
		require.Greater(t, len(outputs[1]), 1, "it was not read as a whole")
		one, other := joined(outputs[0]), joined(outputs[1])
		require.Equal(t, one.NumRows, other.NumRows)
		for k, c := range one.Columns {
			for row := range one.NumRows {
				if a, b := textAt(c, row), textAt(other.Columns[k], row); a != b {
					t.Fatalf("%s of row %d: %s and %s", one.Schema.Fields[k].Name, row, a, b)
				}
			}
		}
	}
}

// Tasks wait for the memory that others use, and a job with a task that needs
// more than there is fails and names the row group.
func TestTasksAreAdmittedByTheirMemory(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 100, 4000, 0)
	w := bench(t, folder)
	preview, err := w.env.Preview(t.Context(), w.parse(featuresSpec))
	require.NoError(t, err)
	facts := preview.Facts
	require.Greater(t, facts.Shards, 1)
	require.Contains(t, facts.Largest, "part-00.parquet: row group ")

	var now, most atomic.Int64
	body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name != plan.Pass(plan.Observe, 0) {
			return w.env.Body(ctx, task, r)
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return w.env.Body(ctx, task, r)
	}
	run := func(maxBytes int64) *jobs.Job {
		s := w.parse(featuresSpec)
		l := Local{Store: w.store, Body: body, Clock: w.env.Clock, Slots: 4, MaxBytes: maxBytes}
		j, err := l.Run(t.Context(), jobs.ID(fmt.Sprintf("admitted%d", maxBytes)), string(s.Kind), s.Name, s.Canonical())
		require.NoError(t, err)
		return j
	}
	observe := preview.Stages[1]
	require.Equal(t, plan.Pass(plan.Observe, 0), observe.Name)
	j := run(observe.MaxBytes - 1)
	require.Equal(t, jobs.Failed, j.Phase)
	require.ErrorContains(t, fmt.Errorf("%s", j.Failure.Message), "stage observe-0: a task may need ")
	require.Contains(t, j.Failure.Message, "part-00.parquet: row group ")
	require.Contains(t, j.Failure.Message, "--memory")

	most.Store(0)
	j = run(observe.MaxBytes*2 - 1)
	require.Equal(t, jobs.Done, j.Phase)
	require.EqualValues(t, 1, most.Load(), "two do not fit")
	require.Positive(t, Summarise(j, 0).PeakRSS)
}

// What one task reads at a time is never more than the budget, whatever the
// footer has made the planner believe.
func TestAReadKeepsToTheBudget(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 20_000, 0)
	w := bench(t, folder)
	w.env.Memory = 100_000
	s := w.parse(featuresSpec)
	l := Local{Store: w.store, Body: w.env.Body, Clock: w.env.Clock, Backoff: time.Millisecond}
	j, err := l.Run(t.Context(), "kept", string(s.Kind), s.Name, s.Canonical())
	require.NoError(t, err)
	require.Equal(t, fault.Exhausted, j.Failure.Kind)
	message := j.Failure.Message
	for _, want := range []string{"part-00.parquet", "row group 0", "100000 of memory", "write smaller row groups"} {
		require.Contains(t, message, want)
	}
}
