package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
	"github.com/troupe-ml/troupe/store"
)

const encodingSteps = `
  - {name: kind_enc, op: target_encode, of: kind, folds: 4}
  - {name: count_enc, op: target_encode, of: count, fold_by: group, fold_column: kind, smoothing: 3}
  - {name: late_enc, op: target_encode, of: kind, fold_by: time, fold_column: ts}
  - {name: cross, op: hash_encode, of: [kind, count], buckets: 7}
  - {name: cross_enc, op: target_encode, of: cross, smoothing: 0}
  - {name: scaled, op: standard_scale, of: kind_enc}
`

const encodingSpec = "kind: features\nname: enc\ninput: in\nwhere: count > 0\noutput: out/features\ntarget: label\nkeep: [label, ts, kind]\nfeatures:" + encodingSteps

// cutSales writes the rows of one table as files of row groups of so many rows.
func cutSales(t *testing.T, dir string, perFile, perGroup int) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	const rows = 3000
	all := sale(5, rows, 0)
	for from, file := 0, 0; from < rows; file++ {
		var groups []*data.Batch
		for end := min(from+perFile, rows); from < end; {
			var part []int
			for ; len(part) < perGroup && from < end; from++ {
				part = append(part, from)
			}
			groups = append(groups, featurestest.Rows(all, part, true))
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("part-%02d.parquet", file)), groups)
	}
}

// outputRows returns the rows of an output folder.
func outputRows(t *testing.T, dir string) (data.Schema, []string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "part-*.parquet"))
	require.NoError(t, err)
	var schema data.Schema
	var rows []string
	for _, part := range parts {
		for _, b := range readTable(t, part) {
			schema = b.Schema
			rows = append(rows, featurestest.Texts(b)...)
		}
	}
	return schema, rows
}

// However the rows are cut into files, row groups and shards, and whoever reads
// them, each gets the same encodings.
func TestEncodingsDoNotDependOnTheCluster(t *testing.T) {
	t.Parallel()
	var want []string
	for _, layout := range []struct{ perFile, perGroup int }{{3000, 3000}, {1000, 170}, {701, 100}} {
		digests := map[string]bool{}
		for _, slots := range []int{1, 4} {
			folder := t.TempDir()
			cutSales(t, filepath.Join(folder, "in"), layout.perFile, layout.perGroup)
			w := bench(t, folder)
			w.slots = slots
			digests[w.succeed(encodingSpec).Digest] = true
			_, rows := outputRows(t, w.path("out/features"))
			if want == nil {
				want = rows
			}
			require.Equal(t, want, rows, "%+v", layout)
		}
		require.Len(t, digests, 1)
	}
	values := map[string]map[string]bool{}
	for _, row := range want {
		column := strings.Split(row, "|")
		kind, encoded := column[2], column[3]
		if values[kind] == nil {
			values[kind] = map[string]bool{}
		}
		values[kind][encoded] = true
	}
	for kind, encodings := range values {
		require.Len(t, encodings, 4, "each fold has its own encoding of %s", kind)
	}
}

func encodedTrainSpec() string {
	return "kind: train\nname: enc\ninput: in\nwhere: count > 0\ntarget: label\ntask: binary\nsplit: {by: random, validation: 0.1, test: 0.2}\n" +
		"model: {type: mlp, hidden: [8]}\nepochs: 2\nbatch_size: 128\nfeatures:\n  - {name: logged, op: log1p, of: amount}" + encodingSteps
}

func TestATrainJobEncodesItsTrainingRowsOutOfFold(t *testing.T) {
	t.Parallel()
	digests := map[string]bool{}
	var uri string
	var w *workbench
	for _, slots := range []int{1, 4} {
		folder := t.TempDir()
		cutSales(t, filepath.Join(folder, "in"), 1000, 170)
		w = bench(t, folder)
		w.slots = slots
		s := w.succeed(encodedTrainSpec())
		require.Greater(t, s.Metrics["test"]["auc"], 0.7)
		digests[s.Digest], uri = true, s.ModelURI
	}
	require.Len(t, digests, 1)
	w.succeed(predictSpec(uri))

	var b *bundle.Bundle
	for digest := range digests {
		raw, err := w.store.Blobs.Get(t.Context(), store.Digest(digest))
		require.NoError(t, err)
		b, err = bundle.Decode(raw)
		require.NoError(t, err)
	}
	require.NotContains(t, b.Signature.Names(), "label", "a prediction needs no target")
	text, err := json.Marshal(b.Pipeline)
	require.NoError(t, err)
	require.NotContains(t, string(text), `"values"`, "a bundle has no use for folds")
}

// Each fold of the training rows has its own encoding of each kind; the rows that
// validate and test have the one that all training rows have taught.
func TestTrainingRowsAreEncodedFromOtherFolds(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cutSales(t, filepath.Join(folder, "in"), 1000, 170)
	text := encodedTrainSpec()
	text = text[:strings.Index(text, "features:")] + "features: [{name: kind_enc, op: target_encode, of: kind, folds: 3}]\n"
	w := bench(t, folder)
	encodings := map[split.Part]map[float32]bool{}
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name == plan.Train {
			work := &work{Env: w.env, ctx: ctx, task: task, spec: w.parse(text), report: r}
			var s Survey
			require.NoError(t, work.input(plan.Survey, &s))
			l, p, err := work.preparation(&s)
			require.NoError(t, err)
			tables, err := work.tables(l, p)
			require.NoError(t, err)
			for part, table := range tables.parts {
				encodings[part] = map[float32]bool{}
				for row := range table.NumRows {
					encodings[part][table.X[row*table.NumFeatures]] = true
				}
			}
		}
		return w.env.Body(ctx, task, r)
	}
	w.succeed(text)
	require.Len(t, encodings[split.Train], 4*3)
	require.Len(t, encodings[split.Test], 4)
	require.Equal(t, encodings[split.Test], encodings[split.Validation])
	for v := range encodings[split.Test] {
		require.NotContains(t, encodings[split.Train], v)
	}
}

// Rows that a filter leaves out keep their numbers.
func TestRowsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	kept := data.NewBitmap(5)
	kept.Set(1)
	kept.Set(4)
	require.Equal(t, []int64{11, 14}, rowNumbers{first: 10, count: 5, kept: kept}.numbers())
	require.Equal(t, []int64{10, 11}, rowNumbers{first: 10, count: 2}.numbers())
}

func TestATargetThatCannotBeEncodedIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cutSales(t, filepath.Join(folder, "in"), 3000, 1000)
	w := bench(t, folder)
	const head = "kind: features\nname: enc\ninput: in\noutput: out\n"
	require.Contains(t, w.fails(head+"target: kind\nfeatures: [{name: e, op: target_encode, of: count}]\n"),
		`feature "e" (target_encode): the target "kind" has more than two classes`)
	require.Contains(t, w.fails(head+"target: label\nfeatures: [{name: e, op: target_encode, of: kind, fold_by: time, fold_column: when}]\n"),
		`fold_column: there is no column "when"`)
}
