package run

import (
	"bytes"
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
)

// replace returns a spec's text with one line of it changed.
func replace(text, old, changed string) string {
	out := strings.Replace(text, old, changed, 1)
	if out == text {
		panic("nothing replaced: " + old)
	}
	return out
}

func TestBadInputIsRefusedByNameAndLeavesNothing(t *testing.T) {
	t.Parallel()
	noModel := replace(predictSpec("runs:/0123456789abcdef0123456789abcdef/model"), "out/scored", "out")
	cases := []struct {
		name, spec string
		damage     func(t *testing.T, folder string)
		kind       fault.Kind
		says       []string
	}{
		{"a missing file", replace(featuresSpec, "input: in", "input: nowhere.parquet"), nil, fault.NotFound, []string{"nowhere.parquet", "no such file"}},
		{"a folder without Parquet", replace(featuresSpec, "input: in", "input: empty"), func(t *testing.T, folder string) {
			t.Helper()
			require.NoError(t, os.MkdirAll(filepath.Join(folder, "empty"), 0o755))
		}, fault.Invalid, []string{"empty", "*.parquet"}},
		{"a glob that matches nothing", replace(featuresSpec, "input: in", "input: in/*.csv"), nil, fault.NotFound, []string{"*.csv"}},
		{"a truncated file", featuresSpec, truncate, fault.Corrupt, []string{"part-00.parquet"}},
		{"a damaged page", featuresSpec, scramble, fault.Corrupt, []string{"part-00.parquet", "row group", "column"}},
		{"a feature of no column", replace(featuresSpec, "op: log1p, of: amount", "op: log1p, of: amuont"), nil, fault.Invalid, []string{"logged", "amuont"}},
		{"a target of no column", replace(trainSpec, "target: label", "target: lable"), nil, fault.Invalid, []string{"target", "lable", `did you mean "label"?`}},
		{"a target of nothing but nulls", trainSpec, noTarget, fault.Invalid, []string{`column "label" is null in all 200 rows`}},
		{"a target of nothing but nulls, without features", "kind: train\nname: raw\ninput: in\ntarget: label\ntask: binary\nmodel: {type: mlp, hidden: [4]}\n", noTarget, fault.Invalid, []string{`column "label" is null in all 200 rows`}},
		{"a target of one class", trainSpec, oneClass, fault.Invalid, []string{"label", "nothing to learn"}},
		{"a split that leaves no row", replace(trainSpec, "by: time, column: ts, validation: 0.1, test: 0.2", "by: column, column: kind"), nil, fault.Invalid, []string{"split", "row 0", "validation"}},
		{"files of different types", featuresSpec, foreignType, fault.Invalid, []string{"part-00.parquet", "part-99.parquet", "count", "int64", "string"}},
		{"a model of no run", noModel, nil, fault.NotFound, []string{"0123456789abcdef0123456789abcdef"}},
		{"a model that is none", predictSpec("in/part-00.parquet"), nil, fault.Corrupt, []string{"part-00.parquet"}},
		{"a feature of nothing but nulls", featuresSpec, allNull, fault.Invalid, []string{"scaled", "finite"}},
		{"a column of nothing but nulls", "kind: train\nname: raw\ninput: in\ntarget: label\ntask: binary\nmodel: {type: mlp, hidden: [4]}\n", allNull, fault.Invalid, []string{"amount", "finite", "leave it out"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			sales(t, filepath.Join(folder, "in"), 1, 2, 300, 0)
			if c.damage != nil {
				c.damage(t, folder)
			}
			s := bench(t, folder).run(c.spec)
			require.Equal(t, "failed", s.Status)
			assert.Equal(t, c.kind.String(), s.Error.Kind.String(), s.Error.Message)
			for _, word := range c.says {
				assert.Contains(t, s.Error.Message, word)
			}
			assert.NotContains(t, s.Error.Message, "bug")
			leavesNothing(t, folder)
		})
	}
}

// leavesNothing checks that no part and no manifest of an output is visible.
func leavesNothing(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, "out"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // nothing was written at all
		}
		if !strings.Contains(path, stagingName) {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
	require.NoError(t, err)
}

func truncate(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, "in/part-00.parquet")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b[:len(b)/2], 0o644))
}

// scramble overwrites what follows the magic, so that the footer is sound and
// the first page is not.
func scramble(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, "in/part-00.parquet")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	copy(b[4:], bytes.Repeat([]byte{0xff}, 64))
	require.NoError(t, os.WriteFile(path, b, 0o644))
}

func changed(t *testing.T, folder, file string, change func(b *data.Batch) *data.Batch) {
	t.Helper()
	writeTable(t, filepath.Join(folder, "in", file), []*data.Batch{change(sale(1, 200, 0))})
}

func oneClass(t *testing.T, folder string) {
	t.Helper()
	changed(t, folder, "part-00.parquet", func(b *data.Batch) *data.Batch { return with(b, "label", ints(make([]int64, b.NumRows))) })
}

func foreignType(t *testing.T, folder string) {
	t.Helper()
	changed(t, folder, "part-99.parquet", func(b *data.Batch) *data.Batch { return with(b, "count", texts(make([]string, b.NumRows))) })
}

func noTarget(t *testing.T, folder string) {
	t.Helper()
	changed(t, folder, "part-00.parquet", func(b *data.Batch) *data.Batch {
		i := b.Schema.Index("label")
		b.Schema.Fields[i].Nullable = true
		b.Columns[i].Valid = data.NewBitmap(b.NumRows)
		return b
	})
}

func allNull(t *testing.T, folder string) {
	t.Helper()
	changed(t, folder, "part-00.parquet", func(b *data.Batch) *data.Batch {
		b.Column("amount").Valid = data.NewBitmap(b.NumRows)
		return b
	})
}

func TestRowsWhoseTargetIsNaNAreLeftOut(t *testing.T) {
	t.Parallel()
	missing := 0
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
	changed(t, folder, "part-00.parquet", func(b *data.Batch) *data.Batch {
		amount := b.Column("amount")
		amount.Valid.Set(0)
		amount.Valid.Set(7)
		amount.Float64s[0], amount.Float64s[7] = math.NaN(), math.NaN()
		missing = 2
		for i := range b.NumRows {
			if !amount.Valid.Get(i) {
				missing++
			}
		}
		return b
	})
	s := bench(t, folder).succeed("kind: train\nname: raw\ninput: in\ntarget: amount\ntask: regression\nmodel: {type: mlp, hidden: [4]}\nepochs: 1\n")
	require.Greater(t, missing, 2, "some are null")
	assert.EqualValues(t, missing, s.RowsRejected)
	assert.EqualValues(t, missing, s.Rejections["no target"])
	assert.Equal(t, s.RowsIn, s.RowsOut+s.RowsRejected)
}

// Whoever names a file as the output's folder has made a mistake, and keeps the file.
func TestAFailedJobRemovesNoFileOfTheUser(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 100, 0)
	w := bench(t, folder)
	var id jobs.ID
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		id = task.Job
		return body(ctx, task, r)
	}
	file := filepath.Join(folder, "out", "features")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("dear"), 0o644))
	w.fails(featuresSpec)
	j, err := joblog.Load(t.Context(), w.store, id)
	require.NoError(t, err)
	err = RecordEnd(t.Context(), w.env.Registry.Runs, w.store, nil, "test", j)
	require.FileExists(t, file)
	require.NoError(t, err)
}

func TestAFailedJobLeavesNothingStaged(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 100, 0)
	w := bench(t, folder)
	var id jobs.ID
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		id = task.Job
		if task.Stage.Name == plan.Manifest {
			return jobs.Result{}, fault.New(fault.Invalid, "no room")
		}
		return body(ctx, task, r)
	}
	require.Contains(t, w.fails(featuresSpec), "no room")
	out := filepath.Join(folder, "out", "features")
	require.DirExists(t, filepath.Join(out, stagingName, string(id)))
	others := filepath.Join(out, stagingName, "other", "part")
	require.NoError(t, os.MkdirAll(others, 0o755))
	j, err := joblog.Load(t.Context(), w.store, id)
	require.NoError(t, err)
	require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, nil, "test", j))
	require.NoDirExists(t, filepath.Join(out, stagingName, string(id)))
	require.DirExists(t, others, "what others have staged stays")
}
