package run

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// Rows that are too many for memory are read from their file, to the same model.
func TestATableThatIsTooLargeForMemoryIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 8000, 0)
	scattered := strings.Replace(quickTrain, "by: time, column: ts", "by: random", 1)
	for _, text := range []string{quickTrain, scattered, weighedBy(quickTrain), weighedBy(scattered)} {
		alone := bench(t, folder).succeed(text)
		for _, world := range []int{1, 3} {
			w := bench(t, folder)
			w.env.Cache, w.env.Memory = t.TempDir(), 2<<20
			w.body = gang(w, world)
			require.Equal(t, alone.Digest, w.succeed(text).Digest, "%d ranks", world)
		}
	}
	b := bench(t, folder)
	b.env.Cache = t.TempDir()
	trainTask(t, b, func(w *work) {
		mapped, err := w.openTables(t)
		require.NoError(t, err)
		defer mapped.release(true)
		w.Memory = 2 << 20
		stored, err := w.openTables(t)
		require.NoError(t, err)
		defer stored.release(true)
		for part, want := range mapped.parts {
			got := stored.parts[part]
			require.NotNil(t, got.Stored)
			require.Nil(t, want.Stored)
			room := got.Room(want.NumRows)
			for first := 0; first < want.NumRows; first += 1999 {
				n := min(1999, want.NumRows-first)
				inMemory, err := want.Block(first, n, models.Block{})
				require.NoError(t, err)
				inFile, err := got.Block(first, n, room)
				require.NoError(t, err)
				require.Equal(t, inMemory, inFile)
			}
			row := make([]float32, want.NumFeatures)
			require.NoError(t, got.Copy(7, row, nil, nil))
			require.Equal(t, want.Row(7), row)
			require.NoError(t, got.Copy(8, nil, room.Y[:1], nil))
			require.Equal(t, want.Y[8], room.Y[0]) //nolint:testifylint // the same bits
		}
		past := stored.parts[split.Test]
		require.Equal(t, fault.Unavailable, fault.Of(past.Copy(past.NumRows, nil, make([]float32, 1<<20), nil)))

		w.Cache = ""
		_, err = w.openTables(t)
		require.Equal(t, fault.Exhausted, fault.Of(err))
		require.ErrorContains(t, err, "more than half of the memory for tasks (2 MiB)")
	})
}
