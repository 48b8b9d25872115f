package run

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
)

// Each record is synced before the next task starts, so there is one for each task:
// that it starts is in the record that says that the one before is done.
func TestTheLogOfALocalJobHasOneRecordForEachTask(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(900), 300, 100)
	w := bench(t, folder)
	w.slots = 1
	done := w.succeed(windowSpec)
	records, err := w.store.Logs.Read(t.Context(), joblog.Name(jobs.ID(done.Job)), 0)
	require.NoError(t, err)
	require.Greater(t, done.Tasks, 8)
	require.Len(t, records, done.Tasks+1)
}
