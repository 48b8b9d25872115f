package run

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store/memory"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// Rows on their way through files beside the output, through blobs, and through a
// bucket become the same features.
func TestItMakesNoDifferenceWhereRowsAreOnTheirWay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(900), 500, 200)
	files := bench(t, folder)
	files.env.runBytes = 3000
	want := files.succeed(windowSpec).Digest

	blobs := bench(t, folder)
	blobs.env.Store.Spill = memory.New().Blobs
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "out")))
	require.Equal(t, want, blobs.succeed(windowSpec).Digest)

	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	bucket := bench(t, folder)
	bucket.env.runBytes = 3000
	remote(t, bucket, server, nil)
	require.Equal(t, want, bucket.succeed(inBucket(windowSpec)).Digest)
	require.Equal(t, []string{"out/features/_manifest.json", "out/features/part-00000.parquet"}, bucketKeys(t, server, "out/"))
}

func TestABlockThatIsDamagedOnItsWayIsFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(300), 300, 100)
	w := bench(t, folder)
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		result, err := w.env.Body(ctx, task, r)
		if strings.HasPrefix(task.Stage.Name, "partition-0") && err == nil {
			found, gerr := filepath.Glob(filepath.Join(folder, "out/features/_staging/*/*.blocks"))
			require.NoError(t, gerr)
			require.Len(t, found, 1)
			b, rerr := os.ReadFile(found[0])
			require.NoError(t, rerr)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(found[0], b, 0o600))
		}
		return result, err
	}
	require.Contains(t, w.fails(windowSpec), ".blocks: the block at ")
}

func TestARefThatIsNoneIsCorrupt(t *testing.T) {
	t.Parallel()
	for _, bad := range []ref{"", "1", "1+2", "1+2:", "-1+2:0", "1+-2:0", "1+99999999999:0", "x+1:0", "1+2:xyz"} {
		_, _, _, err := bad.inFile()
		require.Equal(t, fault.Corrupt, fault.Of(err), string(bad))
	}
	offset, length, sum, err := ref("5+7:00000000000000ff").inFile()
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 7, 255}, []uint64{uint64(offset), uint64(length), sum})
}
