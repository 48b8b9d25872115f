package run

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/collective"
)

// sales writes a folder of rows in several files and row groups; shift moves
// the amounts, as drift does.
func sales(t *testing.T, dir string, files, groups, rows int, shift float64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for f := range files {
		var batches []*data.Batch
		for g := range groups {
			batches = append(batches, sale(uint64(f*groups+g), rows, shift))
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("part-%02d.parquet", f)), batches)
	}
}

func sale(block uint64, rows int, shift float64) *data.Batch {
	random := rng.New(block, "sales")
	amount, count, ts := data.NewColumn(data.Float64, rows), data.NewColumn(data.Int64, rows), data.NewColumn(data.Timestamp, rows)
	label := data.NewColumn(data.Int64, rows)
	amount.Valid = data.NewBitmap(rows)
	kinds := make([]string, rows)
	for i := range rows {
		kind := random.IntN(4)
		kinds[i] = [...]string{"food", "tools", "books", "toys"}[kind]
		v := math.Exp(random.NormFloat64()+3) + shift
		if random.IntN(50) > 0 {
			amount.Valid.Set(i)
			amount.Float64s[i] = v
		}
		count.Int64s[i] = int64(random.IntN(5))
		ts.Int64s[i] = (int64(block)*int64(rows) + int64(i)) * 1_000_000
		score := math.Log(v) - 3 + float64(kind%2)*1.5 + random.NormFloat64()*0.3
		if score > 0.8 {
			label.Int64s[i] = 1
		}
	}
	b := &data.Batch{NumRows: rows, Schema: data.Schema{Fields: []data.Field{
		{Name: "amount", Type: data.Float64, Nullable: true}, {Name: "count", Type: data.Int64}, {Name: "ts", Type: data.Timestamp},
		{Name: "kind", Type: data.String}, {Name: "label", Type: data.Int64},
	}}}
	b.Columns = []*data.Column{amount, count, ts, texts(kinds), label}
	return b
}

const steps = `
  - {name: scaled, op: standard_scale, of: amount}
  - {name: logged, op: log1p, of: amount}
  - {name: bucket, op: bin, of: amount, edges: [0, 10, 50, .inf], labels: [low, mid, high]}
  - {name: each, op: ratio, of: [amount, count]}
  - {name: kind, op: one_hot, of: kind}
  - {name: often, op: frequency_encode, of: kind}
  - {name: at, op: datetime, of: ts, parts: [hour]}
`

const featuresSpec = "kind: features\nname: sales\ninput: in\noutput: out/features\ntarget: label\ntimestamp: ts\nfeatures:" + steps

const trainSpec = "kind: train\nname: sales\ninput: in\ntarget: label\ntask: binary\nsplit: {by: time, column: ts, validation: 0.1, test: 0.2}\n" +
	"model: {type: mlp, hidden: [16], dropout: 0.1}\nepochs: 3\nbatch_size: 128\nearly_stopping: {metric: auc, patience: 2}\nfeatures:" + steps

func predictSpec(uri string) string {
	return "kind: predict\nname: score\nmodel: " + uri + "\ninput: in\noutput: out/scored\nkeep: [ts, kind]\n"
}

const driftSpec = "kind: drift\nname: month\nreference: in\ncurrent: later\ncolumns: {exclude: [ts]}\nreport: out/drift.html\nthreshold: {share: 0.2}\n"

func fourJobs(t *testing.T, w *workbench) (features, train, predict, drift Summary) {
	t.Helper()
	features = w.succeed(featuresSpec)
	train = w.succeed(trainSpec)
	predict = w.succeed(predictSpec(train.ModelURI))
	drift = w.succeed(driftSpec)
	return features, train, predict, drift
}

func TestTheFourJobsGiveWhatTheyPromise(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	sales(t, filepath.Join(folder, "later"), 1, 2, 700, 40)
	w := bench(t, folder)
	features, train, predict, drift := fourJobs(t, w)

	require.EqualValues(t, 4200, features.RowsOut)
	m, errs := Verify(t.Context(), nil, w.path("out/features"))
	require.Empty(t, errs)
	require.Equal(t, features.Digest, m.Digest)
	require.Equal(t, []string{"ts", "label"}, m.Schema.Names()[:2])
	require.Contains(t, m.Features, "scaled")

	require.Greater(t, train.Metrics["test"]["auc"], 0.9)
	require.Equal(t, 3, train.Epochs)

	require.EqualValues(t, 4200, predict.RowsOut)
	scored := readTable(t, w.path("out/scored/part-00000.parquet"))
	require.Equal(t, []string{"ts", "kind", "prediction", "probability", "probability_0", "probability_1"}, scored[0].Schema.Names())

	require.True(t, *drift.Drift)
	require.Contains(t, drift.Drifted, "amount")
	require.NotContains(t, drift.Drifted, "kind")
	page, err := os.ReadFile(w.path("out/drift.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "amount")
}

// The same four jobs with one slot and with four, in stores and folders of
// their own, leave the same bytes.
func TestTheAnswerDoesNotDependOnTheSlots(t *testing.T) {
	t.Parallel()
	var digests [][4]string
	for _, slots := range []int{1, 4} {
		folder := t.TempDir()
		sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
		sales(t, filepath.Join(folder, "later"), 1, 2, 700, 40)
		w := bench(t, folder)
		w.slots = slots
		features, train, predict, drift := fourJobs(t, w)
		digests = append(digests, [4]string{features.Digest, train.Digest, predict.Digest, drift.Digest})
	}
	require.Equal(t, digests[0], digests[1])
}

// gang runs a gang's task on so many ranks in this process, each with an Env of
// its own; all other tasks run as they are.
func gang(w *workbench, world int) Body {
	return func(ctx context.Context, t Task, r Reporter) (jobs.Result, error) {
		if t.Stage.Name != plan.Train {
			return w.env.Body(ctx, t, r)
		}
		comms := collective.Local(world)
		results, errs := make([]jobs.Result, world), make([]error, world)
		var wg sync.WaitGroup
		for rank := range world {
			wg.Go(func() {
				one := t
				one.Rank, one.WorldSize = rank, world
				env := &Env{Store: w.store, Registry: w.env.Registry, Clock: w.env.Clock, Code: w.env.Code, Threads: 1, Cache: w.env.Cache}
				env.Comm = func(context.Context, Task) (collective.Comm, func() error, error) {
					return comms[rank], func() error { return nil }, nil
				}
				results[rank], errs[rank] = env.Body(ctx, one, r)
			})
		}
		wg.Wait()
		for rank, err := range errs {
			if err != nil {
				return results[rank], err
			}
		}
		return results[0], nil
	}
}

func TestTheModelDoesNotDependOnTheWorldSize(t *testing.T) {
	t.Parallel()
	digests := map[string][]int{}
	for _, world := range []int{1, 2, 3, 5} {
		w := ganged(t, world, 1, 3, 500)
		s := w.succeed(trainSpec)
		digests[s.Digest] = append(digests[s.Digest], world)
	}
	require.Len(t, digests, 1, "%v", digests)
}

func TestAFinishedJobRunAgainIsANoOpThatSaysSo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 300, 0)
	sales(t, filepath.Join(folder, "later"), 1, 1, 300, 40)
	w := bench(t, folder)
	features, train, predict, drift := fourJobs(t, w)
	again := [4]Summary{w.succeed(featuresSpec), w.succeed(trainSpec), w.succeed(predictSpec(train.ModelURI)), w.succeed(driftSpec)}
	for i, first := range []Summary{features, train, predict, drift} {
		require.False(t, first.Unchanged)
		require.True(t, again[i].Unchanged, first.Kind)
		require.Equal(t, first.Digest, again[i].Digest)
		require.Equal(t, first.ModelURI, again[i].ModelURI)
	}
	require.NoError(t, os.Remove(w.path("out/features/part-00000.parquet")))
	require.False(t, w.succeed(featuresSpec).Unchanged, "its output is gone")
	sales(t, filepath.Join(folder, "in"), 1, 3, 300, 0)
	require.False(t, w.succeed(featuresSpec).Unchanged, "its input has changed")
}

func TestAModelCarriesTheProfileOfItsTrainingRows(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 500, 0)
	sales(t, filepath.Join(folder, "later"), 1, 1, 500, 40)
	w := bench(t, folder)
	train := w.succeed(trainSpec)
	drift := w.succeed("kind: drift\nname: m\nmodel: " + train.ModelURI + "\ncurrent: later\n")
	require.Contains(t, drift.Drifted, "amount")
	calm := w.succeed("kind: drift\nname: m\nmodel: " + train.ModelURI + "\ncurrent: in\n")
	require.False(t, *calm.Drift)
}
