package run

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/s3"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// remote makes a workbench one whose specs' paths lie in a bucket.
func remote(t *testing.T, w *workbench, s *s3test.Server, change func(*s3.Config)) {
	t.Helper()
	c := s.Client(t, change)
	w.env.Files = files.New(func() (*s3.Client, error) { return c, nil })
	w.folder = "s3://" + s3test.Bucket
}

// inBucket puts the paths of a spec into the bucket.
func inBucket(spec string) string {
	for _, field := range []string{"input: ", "output: ", "reference: ", "current: ", "report: "} {
		spec = strings.Replace(spec, field, field+"s3://"+s3test.Bucket+"/", 1)
	}
	return spec
}

func bucketKeys(t *testing.T, s *s3test.Server, prefix string) []string {
	t.Helper()
	var keys []string
	require.NoError(t, s.Client(t, nil).List(context.Background(), s3.URL{Bucket: s3test.Bucket, Key: prefix}, func(i s3.Info) bool {
		keys = append(keys, i.URL.Key)
		return true
	}))
	return keys
}

func TestTheFourJobsGiveTheSameFromAndToABucket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	sales(t, filepath.Join(folder, "later"), 1, 2, 700, 40)
	disk := bench(t, folder)
	f1, t1, p1, d1 := fourJobs(t, disk)

	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	server.Fill(t, "later", filepath.Join(folder, "later"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	f2, t2 := w.succeed(inBucket(featuresSpec)), w.succeed(inBucket(trainSpec))
	p2, d2 := w.succeed(inBucket(predictSpec(t2.ModelURI))), w.succeed(inBucket(driftSpec))
	require.Equal(t, []string{f1.Digest, t1.Digest, p1.Digest, d1.Digest}, []string{f2.Digest, t2.Digest, p2.Digest, d2.Digest})
	require.Equal(t, "s3://lake/out/features", f2.Output)

	ctx := context.Background()
	m, errs := Verify(ctx, w.env.Files, f2.Output)
	require.Empty(t, errs)
	local, err := ReadManifest(ctx, nil, disk.path("out/features"))
	require.NoError(t, err)
	local.Spec, local.Job = m.Spec, m.Job // the spec has the path of its input
	require.Equal(t, local, m, "the same input digest, among others")
	require.Equal(t, []string{
		"out/drift.html", "out/features/_manifest.json", "out/features/part-00000.parquet", "out/scored/_manifest.json", "out/scored/part-00000.parquet",
	}, bucketKeys(t, server, "out/"))
	require.Zero(t, server.Uploads(t))

	again := []Summary{w.succeed(inBucket(featuresSpec)), w.succeed(inBucket(trainSpec)), w.succeed(inBucket(predictSpec(t2.ModelURI))), w.succeed(inBucket(driftSpec))}
	for _, s := range again {
		require.True(t, s.Unchanged, s.Kind)
	}
	onto := replace(inBucket(featuresSpec), "s3://lake/in", "s3://lake/later") // the output is replaced, not mixed
	require.NotEqual(t, f2.Digest, w.succeed(onto).Digest)
	m, errs = Verify(ctx, w.env.Files, f2.Output)
	require.Empty(t, errs)
	require.EqualValues(t, 1400, m.Rows)
	chained := replace(inBucket(trainSpec), "s3://lake/in", "s3://lake/out/features")
	chained, _, _ = strings.Cut(chained, "features:")
	require.Equal(t, "succeeded", w.run(chained).Status, "an output is an input")
}

func TestAModelIsReadFromABucket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 400, 0)
	w := bench(t, folder)
	train := w.succeed(trainSpec)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	raw, err := w.store.Blobs.Get(context.Background(), store.Digest(train.Digest))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.bundle"), raw, 0o600))
	model := server.Fill(t, "models/model.bundle", filepath.Join(folder, "model.bundle"))
	a := w.succeed(predictSpec(train.ModelURI))
	remote(t, w, server, nil)
	b := w.succeed(inBucket(predictSpec(model)))
	require.Equal(t, a.Digest, b.Digest)
}

func TestWhatAPathInABucketStandsFor(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 1, 50, 0)
	server := s3test.Start(t)
	server.Fill(t, "in/day=1", filepath.Join(folder, "in"))
	server.Fill(t, "in/day=2", filepath.Join(folder, "in"))
	server.Fill(t, "in/_tmp", filepath.Join(folder, "in"))
	server.Fill(t, "in/.hidden", filepath.Join(folder, "in"))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "note.txt"), []byte("not a table"), 0o600))
	server.Fill(t, "in/note.txt", filepath.Join(folder, "note.txt"))
	server.Fill(t, "text/note.txt", filepath.Join(folder, "note.txt"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	all := []string{"in/day=1/part-00.parquet", "in/day=1/part-01.parquet", "in/day=2/part-00.parquet", "in/day=2/part-01.parquet"}
	for path, want := range map[string][]string{
		"in":                       all,
		"in/":                      all,
		"":                         all,
		"in/day=2":                 all[2:],
		"in/day=1/part-00.parquet": all[:1],
		"in/*/part-00.parquet":     {all[0], all[2]},
		"in/day=[2]/*.parquet":     all[2:],
		"in/day=?/part-01.par*":    {all[1], all[3]},
		"in/_tmp/part-00.parquet":  {"in/_tmp/part-00.parquet"}, // named outright
	} {
		got, err := List(context.Background(), w.env.Files, "s3://lake/"+path)
		require.NoError(t, err, path)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "s3://lake/")
		}
		require.Equal(t, want, got, path)
	}
	for path, kind := range map[string]fault.Kind{
		"s3://lake/nowhere": fault.NotFound, "s3://lake/in/*.csv": fault.NotFound, "s3://lake/text/": fault.Invalid,
		"s3://no-such-lake/in": fault.NotFound, "s3://lake/in/[": fault.Invalid, "s3:///in": fault.Invalid,
	} {
		_, err := List(context.Background(), w.env.Files, path)
		require.Equal(t, kind, fault.Of(err), "%s: %v", path, err)
		require.ErrorContains(t, err, strings.TrimRight(path, "/"))
	}
	_, err := List(context.Background(), nil, "s3://lake/in")
	require.ErrorContains(t, err, "no object store is set up")
}

func TestABucketOutputLeavesForeignObjectsAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 100, 0)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	server.Fill(t, "out/features/2026/precious.parquet", filepath.Join(folder, "in", "part-00.parquet"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	require.Contains(t, w.fails(inBucket(featuresSpec)), "precious.parquet")
	require.Equal(t, []string{"out/features/2026/precious.parquet"}, bucketKeys(t, server, "out/"))
}

func TestAFailedJobLeavesNothingStagedInABucket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 100, 0)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	server.Fill(t, "out/features/_staging/other/part", filepath.Join(folder, "in", "part-00.parquet"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	var id jobs.ID
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		id = task.Job
		if task.Stage.Name == plan.Manifest {
			return jobs.Result{}, fault.New(fault.Invalid, "no room")
		}
		return body(ctx, task, r)
	}
	require.Contains(t, w.fails(inBucket(featuresSpec)), "no room")
	require.Greater(t, len(bucketKeys(t, server, "out/")), 1, "what was staged")
	j, err := joblog.Load(t.Context(), w.store, id)
	require.NoError(t, err)
	require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", j))
	require.Equal(t, []string{"out/features/_staging/other/part"}, bucketKeys(t, server, "out/"), "that of others stays")
}

func TestAnInputThatChangesInMidJobIsAnError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 3, 30_000, 0)
	sales(t, filepath.Join(folder, "later"), 1, 3, 30_000, 40)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	surveyed := false
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (result jobs.Result, err error) {
		result, err = body(ctx, task, r)
		if !surveyed {
			surveyed = true
			server.Fill(t, "in", filepath.Join(folder, "later"))
		}
		return result, err
	}
	text := w.fails(inBucket(featuresSpec))
	require.Contains(t, text, "s3://lake/in/part-00.parquet")
	require.Contains(t, text, "changed")
	require.NotContains(t, bucketKeys(t, server, "out/"), "out/features/_manifest.json")
}

// Every answer may be late, cut or refused: the job does not notice.
func TestAJobSurvivesAStoreThatFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	want := bench(t, folder).succeed(featuresSpec).Digest
	for seed, how := range []s3test.Answer{s3test.Busy, s3test.Cut, s3test.Drop, s3test.Lose} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t)
			server.Fill(t, "in", filepath.Join(folder, "in"))
			w := bench(t, folder)
			remote(t, w, server, nil)
			server.Set(func(n int, _ s3test.Request) s3test.Answer {
				if (n+seed)%3 > 0 && n < 60 {
					return how
				}
				return s3test.Pass
			})
			require.Equal(t, want, w.succeed(inBucket(featuresSpec)).Digest)
			server.Set(nil)
			require.Equal(t, []string{"out/features/_manifest.json", "out/features/part-00000.parquet"}, bucketKeys(t, server, "out/"))
			_, errs := Verify(context.Background(), w.env.Files, "s3://lake/out/features")
			require.Empty(t, errs)
		})
	}
}

// A store that is away for longer than a request's attempts last fails tasks,
// which are tried again.
func TestAStoreThatComesBackIsWaitedFor(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 3, 700, 0)
	want := bench(t, folder).succeed(featuresSpec).Digest
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	w := bench(t, folder)
	remote(t, w, server, func(c *s3.Config) { c.Attempts = 2 })
	var tasks atomic.Int64
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		away := tasks.Add(1)%3 == 1 // every other task fails once, some twice
		server.Set(func(int, s3test.Request) s3test.Answer {
			if away {
				return s3test.Drop
			}
			return s3test.Pass
		})
		return body(ctx, task, r)
	}
	w.slots = 1
	require.Equal(t, want, w.succeed(inBucket(featuresSpec)).Digest)
	require.Greater(t, tasks.Load(), int64(5))
}

func TestAStoreThatIsGoneIsAClearErrorAndLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 3, 700, 0)
	for _, from := range []int{0, 3, 6, 9, 12} {
		t.Run(fmt.Sprintf("from request %d on", from), func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t)
			server.Fill(t, "in", filepath.Join(folder, "in"))
			w := bench(t, folder)
			remote(t, w, server, func(c *s3.Config) { c.Attempts = 2 })
			server.Set(func(n int, _ s3test.Request) s3test.Answer {
				if n >= from {
					return s3test.Drop
				}
				return s3test.Pass
			})
			s := w.run(inBucket(featuresSpec))
			require.Equal(t, "failed", s.Status)
			require.Equal(t, fault.Unavailable, s.Error.Kind, s.Error.Message)
			require.Contains(t, s.Error.Message, "s3://lake/")
			require.NotContains(t, s.Error.Message, s3test.Secret)
			server.Set(nil)
			_, err := ReadManifest(context.Background(), w.env.Files, "s3://lake/out/features")
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = List(context.Background(), w.env.Files, "s3://lake/out/features")
			require.Error(t, err)
		})
	}
}

func TestACredentialIsNowhereToBeFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 300, 0)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Join(folder, "in"))
	w := bench(t, folder)
	remote(t, w, server, nil)
	w.succeed(inBucket(featuresSpec))
	server.Set(func(int, s3test.Request) s3test.Answer { return s3test.Forbid })
	text := w.fails(replace(inBucket(featuresSpec), "name: sales", "name: other"))
	require.Contains(t, text, "access denied")
	ctx := context.Background()
	logs, err := w.store.Logs.List(ctx, "")
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, name := range logs {
		records, err := w.store.Logs.Read(ctx, name, 0)
		require.NoError(t, err)
		for _, r := range records {
			require.NotContains(t, string(r), s3test.Secret)
		}
	}
}

// Somebody else writes the manifest between this job's last look and its own
// write: the job says so, and leaves the other's as it is.
func TestOneManifestWins(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 100, 0)
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprintf("an older output is there: %v", before), func(t *testing.T) {
			t.Parallel()
			server := s3test.Start(t)
			server.Fill(t, "in", filepath.Join(folder, "in"))
			w := bench(t, folder)
			remote(t, w, server, nil)
			if before {
				w.succeed(inBucket(replace(featuresSpec, "name: sales", "name: older")))
			}
			other, done := server.Behind(t), false
			foreign := s3.URL{Bucket: s3test.Bucket, Key: "out/features/_manifest.json"}
			server.Set(func(_ int, r s3test.Request) s3test.Answer {
				if r.Method == "GET" && strings.Contains(r.Query, "list-type") && done {
					_, err := other.Put(context.Background(), foreign, []byte(`{"somebody": "else's"}`), s3.Condition{})
					assert.NoError(t, err)
					done = false
				}
				done = done || r.Method == "PUT" && strings.HasSuffix(r.Key, "features/part-00000.parquet")
				return s3test.Pass
			})
			s := w.run(inBucket(featuresSpec))
			require.Equal(t, "failed", s.Status)
			require.Equal(t, fault.Conflict, s.Error.Kind, s.Error.Message)
			require.Contains(t, s.Error.Message, "s3://lake/out/features/_manifest.json")
			b, _, err := other.Read(t.Context(), foreign, 100)
			require.NoError(t, err)
			require.Contains(t, string(b), "somebody")
		})
	}
}
