package run

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// nested copies files with lists, whose values are known, into a folder.
func nested(t *testing.T, folder, name string, files ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sharedData(t), "nasty", "good", name))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	for _, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, f), b, 0o600))
	}
}

// Against the values as they were written out beside the file.
func TestElementsOfAListAreRows(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	nested(t, folder, "nested_list.parquet", "a.parquet", "b.parquet")
	w := bench(t, folder)
	d, err := (&Dataset{Path: folder, Explode: "xs", files: w.env.Files}).open(t.Context(), nil)
	require.NoError(t, err)
	f, err := os.Open(filepath.Join(sharedData(t), "nasty", "expected", "good", "nested_list.parquet.csv"))
	require.NoError(t, err)
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.NoError(t, f.Close())
	var want [][]string
	for range 2 {
		for _, line := range lines[1:] {
			elements := strings.Split(strings.Trim(line[1], "[]"), ", ")
			for _, e := range elements {
				if e == "" || e == "NULL" {
					e = `\N`
				}
				want = append(want, []string{line[0], e})
			}
		}
	}
	require.Equal(t, []string{"id", "xs"}, d.Schema.Names())
	require.Equal(t, int64(len(want)), d.Rows)
	require.Equal(t, want, rowsOf(t, d, nil))
	require.Equal(t, len(want), len(rowsOf(t, d, []string{"id"})))
}

// A job over a list does as over a table that has a row for each element.
func TestJobsOverAListDoAsOverATableOfItsElements(t *testing.T) {
	t.Parallel()
	folder, twin := t.TempDir(), t.TempDir()
	nested(t, filepath.Join(folder, "in"), "nested_list_of_struct.parquet", "a.parquet", "b.parquet")
	w, other := bench(t, folder), bench(t, twin)
	d, err := (&Dataset{Path: filepath.Join(folder, "in"), Explode: "people", files: w.env.Files}).open(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"id", "people.name", "people.age"}, d.Schema.Names())
	var flat []*data.Batch
	for shard := range d.Shards {
		require.NoError(t, d.readShard(t.Context(), shard, nil, func(b *data.Batch, _ rowNumbers) error {
			flat = append(flat, b)
			return nil
		}))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(twin, "in"), 0o755))
	writeTable(t, filepath.Join(twin, "in", "part.parquet"), flat)

	const steps = "output: out\nkeep: [id]\nfeatures:\n- {name: age, op: robust_scale, of: people.age}\n- {name: who, op: frequency_encode, of: people.name}\n"
	for _, where := range []string{"", "where: id > 620 and \"people.age\" is not null\n"} {
		head := "kind: features\nname: f\n" + where
		got, want := w.succeed(head+"input: {path: in, explode: people}\n"+steps), other.succeed(head+"input: in\n"+steps)
		require.Equal(t, want.RowsOut, got.RowsOut)
		require.Equal(t, want.RowsIn, got.RowsIn)
		a, errs := Verify(t.Context(), nil, w.path("out"))
		require.Empty(t, errs)
		b, errs := Verify(t.Context(), nil, other.path("out"))
		require.Empty(t, errs)
		require.Equal(t, b.Parts[0].Digest, a.Parts[0].Digest, "the same bytes")
		require.Equal(t, b.Parts[0].RowsFiltered, a.Parts[0].RowsFiltered)
	}
	drift := w.succeed("kind: drift\nname: d\nreference: {path: in, explode: people}\ncurrent: in\ncurrent_explode: people\n")
	require.False(t, *drift.Drift)
	require.Contains(t, w.fails("kind: features\nname: f\ninput: {path: in, explode: persons}\n"+steps), `explode: there is no list "persons"; there are people`)
	require.Contains(t, w.fails("kind: features\nname: f\ninput: in\n"+steps), "people.age", "without it there is no such column")
}

func TestLintOverAListLooksAtItsElements(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	nested(t, folder, "nested_list_of_struct.parquet", "a.parquet")
	job := "kind: features\nname: f\ninput: {path: {in}, explode: people}\noutput: out\nfeatures: [{name: age, op: robust_scale, of: people.age}]\n"
	r, err := lintOf(t, LintOptions{}, map[string]string{"in": folder}, job)
	require.NoError(t, err)
	d, err := (&Dataset{Path: folder, Explode: "people"}).open(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, d.Rows, r.Jobs[0].Rows)
}
