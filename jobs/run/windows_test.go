package run

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// visit is a row of the dumb version.
type visit struct {
	user   string  // "": null
	ts     int64   // in seconds; -1: null
	amount float64 // NaN: null
}

// visits are rows of a few users, one of whom has half of all rows, in no order
// of time, with equal times, and nulls of each kind.
func visits(n int) []visit {
	random := rng.New(7, "visits")
	out := make([]visit, n)
	for i := range out {
		v := visit{user: "big", ts: int64(random.IntN(3 * n)), amount: float64(random.IntN(1000)) / 8}
		if random.IntN(2) == 0 {
			v.user = fmt.Sprint("user ", random.IntN(20))
		}
		if random.IntN(30) == 0 {
			v.user = ""
		}
		if random.IntN(30) == 0 {
			v.ts = -1
		}
		if random.IntN(10) == 0 {
			v.amount = math.NaN()
		}
		out[i] = v
	}
	return out
}

// writeVisits writes rows as files of row groups of so many rows.
func writeVisits(t *testing.T, dir string, rows []visit, perFile, perGroup int) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	n := 0
	for file := range slices.Chunk(rows, perFile) {
		var groups []*data.Batch
		for part := range slices.Chunk(file, perGroup) {
			user, ts, amount := data.NewColumn(data.String, len(part)), data.NewColumn(data.Timestamp, len(part)), data.NewColumn(data.Float64, len(part))
			label := data.NewColumn(data.Int64, len(part))
			users := make([]string, len(part))
			for _, c := range []*data.Column{user, ts, amount} {
				c.Valid = data.NewBitmap(len(part))
			}
			for i, v := range part {
				if users[i] = v.user; v.user != "" {
					user.Valid.Set(i)
				}
				if v.ts >= 0 {
					ts.Valid.Set(i)
					ts.Int64s[i] = v.ts * 1e6
				}
				if !math.IsNaN(v.amount) {
					amount.Valid.Set(i)
					amount.Float64s[i] = v.amount
				}
				label.Int64s[i] = int64(i % 2)
			}
			named := texts(users)
			user.Codes, user.Dict = named.Codes, named.Dict
			user.UseStrings(slices.Clone(user.Dict))
			groups = append(groups, &data.Batch{NumRows: len(part), Columns: []*data.Column{user, ts, amount, label}, Schema: data.Schema{Fields: []data.Field{
				{Name: "user", Type: data.String, Nullable: true}, {Name: "ts", Type: data.Timestamp, Nullable: true},
				{Name: "amount", Type: data.Float64, Nullable: true}, {Name: "label", Type: data.Int64},
			}}})
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("part-%02d.parquet", n)), groups)
		n++
	}
}

// before returns, for each row, the places of the rows of its user before it, in
// order of time.
func before(rows []visit) [][]int {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rows[a].ts, rows[b].ts) })
	out, of := make([][]int, len(rows)), map[string][]int{}
	for _, i := range order {
		if v := rows[i]; v.user != "" && v.ts >= 0 {
			out[i] = slices.Clone(of[v.user])
			of[v.user] = append(of[v.user], i)
		}
	}
	return out
}

const windowSteps = `
  - {name: last, op: lag, of: amount}
  - {name: last_user_time, op: lag, of: ts, n: 2}
  - {name: mean_3, op: rolling_mean, of: amount, window: 3}
  - {name: hour_sum, op: rolling_sum, of: amount, window: 1h}
  - {name: scaled, op: standard_scale, of: amount}
  - {name: last_scaled, op: lag, of: scaled}
  - {name: logged, op: log1p, of: mean_3}
  - {name: last_logged, op: lag, of: logged}
  - {name: mean_scaled, op: standard_scale, of: mean_3}
`

const windowSpec = "kind: features\nname: visits\ninput: in\noutput: out/features\ntarget: label\nentity: user\ntimestamp: ts\nkeep: [user, ts, label, amount]\nfeatures:" + windowSteps

// floatsOf returns a column of all parts of an output; NaN stands for null.
func floatsOf(batches []*data.Batch, name string) []float64 {
	var out []float64
	for _, b := range batches {
		c := b.Column(name)
		for i := range b.NumRows {
			v := math.NaN()
			if c.Valid.Get(i) {
				switch c.Type {
				case data.Float64:
					v = c.Float64s[i]
				case data.Float32:
					v = float64(c.Float32s[i])
				case data.Int32:
					v = float64(c.Int32s[i])
				default:
					v = float64(c.Int64s[i])
				}
			}
			out = append(out, v)
		}
	}
	return out
}

func requireNear(t *testing.T, want, got []float64, what string) {
	t.Helper()
	require.Len(t, got, len(want), what)
	for i := range want {
		if math.IsNaN(want[i]) != math.IsNaN(got[i]) || math.Abs(want[i]-got[i]) > 1e-9*(1+math.Abs(want[i])) {
			require.Failf(t, what, "row %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestWindowsLookAtTheRowsOfTheirEntityInOrderOfTime(t *testing.T) {
	t.Parallel()
	rows := visits(3000)
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), rows, 1100, 400)
	w := bench(t, folder)
	s := w.succeed(windowSpec)
	require.EqualValues(t, len(rows), s.RowsOut)
	parts, err := List(t.Context(), nil, w.path("out/features"))
	require.NoError(t, err)
	out := readTable(t, parts...)
	requireNear(t, amounts(rows), floatsOf(out, "amount"), "the order of the input")

	checkWindows(t, rows, out)
	requireNothingLeft(t, w, s)
}

// checkWindows holds the features of windowSteps against what they mean.
func checkWindows(t *testing.T, rows []visit, out []*data.Batch) {
	t.Helper()
	past := before(rows)
	each := func(f func(i int, past []int) float64) []float64 {
		want := make([]float64, len(rows))
		for i := range rows {
			want[i] = f(i, past[i])
		}
		return want
	}
	last := func(of []float64) []float64 {
		return each(func(_ int, past []int) float64 {
			if len(past) == 0 {
				return math.NaN()
			}
			return of[past[len(past)-1]]
		})
	}
	sum := func(past []int, keep func(k int) bool) (sum, n float64) {
		for _, k := range past {
			if v := rows[k].amount; keep(k) && !math.IsNaN(v) {
				sum, n = sum+v, n+1
			}
		}
		return sum, n
	}
	mean3 := each(func(_ int, past []int) float64 {
		total, n := sum(past[max(len(past)-3, 0):], func(int) bool { return true })
		if n == 0 {
			return math.NaN()
		}
		return total / n
	})
	requireNear(t, last(amounts(rows)), floatsOf(out, "last"), "last")
	requireNear(t, mean3, floatsOf(out, "mean_3"), "mean_3")
	requireNear(t, each(func(_ int, past []int) float64 {
		if len(past) < 2 {
			return math.NaN()
		}
		return float64(rows[past[len(past)-2]].ts) * 1e6
	}), floatsOf(out, "last_user_time"), "last_user_time")
	requireNear(t, each(func(i int, past []int) float64 {
		total, n := sum(past, func(k int) bool { return rows[k].ts > rows[i].ts-3600 })
		if n == 0 {
			return math.NaN()
		}
		return total
	}), floatsOf(out, "hour_sum"), "hour_sum")
	requireNear(t, last(floatsOf(out, "scaled")), floatsOf(out, "last_scaled"), "a window over what had to be fitted")
	requireNear(t, last(floatsOf(out, "logged")), floatsOf(out, "last_logged"), "a window over what comes of a window")
	requireNear(t, scaledBy(mean3), floatsOf(out, "mean_scaled"), "what is fitted of a window")
}

// requireNothingLeft checks that what was shuffled is removed.
func requireNothingLeft(t *testing.T, w *workbench, s Summary) {
	t.Helper()
	j, err := joblog.Load(t.Context(), w.store, jobs.ID(s.Job))
	require.NoError(t, err)
	for _, stage := range []string{"partition-0", "window-0", "partition-1", "window-1"} {
		require.NotEmpty(t, j.StageTasks(stage), stage)
		for _, task := range j.StageTasks(stage) {
			has, err := w.store.Blobs.Has(t.Context(), store.Digest(task.Result.Output))
			require.NoError(t, err)
			require.False(t, has, stage)
		}
	}
}

func amounts(rows []visit) []float64 {
	out := make([]float64, len(rows))
	for i, v := range rows {
		out[i] = v.amount
	}
	return out
}

func scaledBy(of []float64) []float64 {
	var sum, squares, n float64
	for _, v := range of {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	for _, v := range of {
		if !math.IsNaN(v) {
			squares += (v - sum/n) * (v - sum/n)
		}
	}
	out := make([]float64, len(of))
	for i, v := range of {
		out[i] = (v - sum/n) / math.Sqrt(squares/n)
	}
	return out
}

func TestAnEntityMayBeSeveralColumns(t *testing.T) {
	t.Parallel()
	rows := visits(3000)
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), rows, 1100, 400)
	for i := range rows { // the label is i % 2 within a row group of 400
		if rows[i].user != "" {
			rows[i].user += fmt.Sprint(" ", i%1100%400%2)
		}
	}
	w := bench(t, folder)
	job := strings.Replace(windowSpec, "target: label\nentity: user\n", "entity: [label, user]\n", 1)
	w.succeed(job)
	parts, err := List(t.Context(), nil, w.path("out/features"))
	require.NoError(t, err)
	checkWindows(t, rows, readTable(t, parts...))
	require.Contains(t, w.fails(strings.Replace(job, "[label, user]", "[label, usr]", 1)), `entity: there is no column "usr"; did you mean "user"?`)
}

// However the rows are cut into files and row groups, and however many work on
// them, each row has the same features.
func TestWindowsDoNotDependOnHowRowsAreCut(t *testing.T) {
	t.Parallel()
	rows := visits(2000)
	var all [][]float64
	for i, cut := range [][2]int{{2000, 2000}, {700, 200}, {130, 50}} {
		folder := t.TempDir()
		writeVisits(t, filepath.Join(folder, "in"), rows, cut[0], cut[1])
		w := bench(t, folder)
		w.slots, w.env.runBytes = i+1, []int{0, 500, 7000}[i]
		w.succeed(windowSpec)
		parts, err := List(t.Context(), nil, w.path("out/features"))
		require.NoError(t, err)
		out := readTable(t, parts...)
		var made []float64
		for _, name := range []string{"last", "mean_3", "hour_sum", "last_scaled", "last_logged", "mean_scaled"} {
			made = append(made, floatsOf(out, name)...)
		}
		all = append(all, made)
	}
	for _, made := range all[1:] {
		require.Len(t, made, len(all[0]))
		for i := range made {
			require.Equal(t, math.Float64bits(all[0][i]), math.Float64bits(made[i]), i)
		}
	}
}

func TestAModelOverWindowsIsTrainedAndScores(t *testing.T) {
	t.Parallel()
	rows := visits(3000)
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), rows, 1100, 400)
	w := bench(t, folder)
	train := w.succeed("kind: train\nname: v\ninput: in\ntarget: label\ntask: binary\nentity: user\ntimestamp: ts\nsplit: {by: random, validation: 0.1, test: 0.2}\n" +
		"columns: {exclude: [last_user_time, last_scaled]}\nmodel: {type: mlp, hidden: [8]}\nepochs: 2\nbatch_size: 128\nfeatures:" + windowSteps)
	predict := w.succeed("kind: predict\nname: score\nmodel: " + train.ModelURI + "\ninput: in\noutput: out/scored\nkeep: [ts]\n")
	require.EqualValues(t, len(rows), predict.RowsOut)

	// Where the windows are given, they are taken as they are.
	w.succeed(windowSpec)
	given := w.succeed("kind: predict\nname: score\nmodel: " + train.ModelURI + "\ninput: out/features\noutput: out/given\nkeep: [ts]\n")
	a, b := readScores(t, w, "out/scored"), readScores(t, w, "out/given")
	require.Equal(t, a, b)
	require.EqualValues(t, len(rows), given.RowsOut)
	drift := w.succeed("kind: drift\nname: m\nmodel: " + train.ModelURI + "\ncurrent: in\n")
	require.False(t, *drift.Drift)
}

func readScores(t *testing.T, w *workbench, dir string) []float64 {
	t.Helper()
	parts, err := List(t.Context(), nil, w.path(dir))
	require.NoError(t, err)
	return floatsOf(readTable(t, parts...), "probability")
}

func TestWindowsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(50), 50, 50)
	w := bench(t, folder)
	for _, bad := range []struct{ from, to, says string }{
		{"timestamp: ts\n", "", `feature "last" (lag): it looks back in time: name the column that orders the rows (timestamp: ts)`},
		{"window: 1h", "window: 1 fortnight", "such as 7 for rows, or 7d, 12h, 30m, 10s for time"},
		{"op: rolling_mean, of: amount", "op: rolling_mean, of: user", `the column is string, expected a number`},
		{"name: last,", "name: ts,", "a column of the input is called so, too"},
		{"timestamp: ts", "timestamp: amount", `timestamp: column "amount" is float64, expected a timestamp, a date or whole numbers`},
		{"of: amount}\n  - {name: last_user_time", "of: label}\n  - {name: last_user_time", "is the target"},
	} {
		require.Contains(t, windowSpec, bad.from)
		require.Contains(t, w.fails(strings.Replace(windowSpec, bad.from, bad.to, 1)), bad.says)
	}
}

// A job that fails after its rows were shuffled leaves none of them either.
func TestAFailedJobLeavesNothingThatWasShuffled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(500), 250, 100)
	w := bench(t, folder)
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if strings.HasPrefix(task.Stage.Name, "apply") {
			return jobs.Result{}, fault.New(fault.Invalid, "no room")
		}
		return w.env.Body(ctx, task, r)
	}
	s := w.run(windowSpec)
	require.Equal(t, "failed", s.Status)
	j, err := joblog.Load(t.Context(), w.store, jobs.ID(s.Job))
	require.NoError(t, err)
	has, err := w.store.Blobs.Has(t.Context(), store.Digest(j.StageTasks("window-1")[0].Result.Output))
	require.NoError(t, err)
	require.True(t, has, "it is there before")
	require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, nil, "test", j))
	requireNothingLeft(t, w, s)
}

// Jobs whose rows leave nothing on their way note it in the same words: what one
// of them forgets must not be what the other still reads.
func TestAJobForgetsNothingOfAnother(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(200), 200, 100)
	w := bench(t, folder)
	w.env.Store.Spill = memory.New().Blobs
	nobody := "kind: features\nname: visits\ninput: in\nwhere: label = 0 and label = 1\noutput: out/features\nentity: user\ntimestamp: ts\nfeatures: [{name: last, op: lag, of: amount}]\n"
	first := true
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if strings.HasPrefix(task.Stage.Name, "apply") && first { // all is noted, and not read yet
			first = false
			other := *w
			other.body = nil
			other.succeed(strings.Replace(nobody, "out/features", "out/other", 1))
		}
		return w.env.Body(ctx, task, r)
	}
	w.succeed(nobody)
}
