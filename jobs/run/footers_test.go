package run

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// stamped is a file in memory that counts how often it is read.
type stamped struct {
	*bytes.Reader
	stamp string
	reads *int
}

func (s stamped) ReadAt(b []byte, at int64) (int, error) {
	*s.reads++
	return s.Reader.ReadAt(b, at)
}
func (stamped) Close() error    { return nil }
func (stamped) Version() string { return "" }
func (s stamped) Stamp() string { return s.stamp }

func stampedFile(t *testing.T, stamp string, rows int) stamped {
	t.Helper()
	numbers := make([]int64, rows)
	schema := data.Schema{Fields: []data.Field{{Name: "n", Type: data.Int64}}}
	b, err := data.NewBatch(schema, []*data.Column{{Type: data.Int64, Int64s: numbers}})
	require.NoError(t, err)
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, schema, parquet.DefaultWriterConfig())
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	return stamped{bytes.NewReader(out.Bytes()), stamp, new(int)}
}

func TestAFooterIsReadOnce(t *testing.T) {
	t.Parallel()
	var c footers
	f := stampedFile(t, "1", 7)
	first, err := c.open(f, "a", 0)
	require.NoError(t, err)
	reads := *f.reads
	require.Positive(t, reads)
	first.ReadDigits([]string{"n"})
	again, err := c.open(f, "a", 0)
	require.NoError(t, err)
	require.Equal(t, reads, *f.reads)
	require.Equal(t, first.Schema(), again.Schema())
	b, err := again.ReadRowGroup(t.Context(), 0, nil)
	require.NoError(t, err)
	require.Equal(t, 7, b.NumRows)
}

func TestAFooterIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f stamped) (files.File, string){
		"of a file that has changed":          func(f stamped) (files.File, string) { f.stamp = "2"; return f, "a" },
		"of another file":                     func(f stamped) (files.File, string) { return f, "b" },
		"where nobody knows whether it did":   func(f stamped) (files.File, string) { f.stamp = ""; return f, "a" },
		"of a file that has become longer":    func(f stamped) (files.File, string) { return longer(t, f), "a" },
		"where there is no room for a footer": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c footers
			f := stampedFile(t, "1", 7)
			memory := int64(0)
			other, path := files.File(f), "a"
			if name == "where nobody knows whether it did" {
				f.stamp = ""
			}
			if change == nil {
				memory = footersShare
			} else {
				other, path = change(f)
			}
			_, err := c.open(f, "a", memory)
			require.NoError(t, err)
			before := *f.reads
			_, err = c.open(other, path, memory)
			require.NoError(t, err)
			require.Greater(t, *f.reads, before)
		})
	}
}

func longer(t *testing.T, f stamped) stamped {
	t.Helper()
	g := stampedFile(t, f.stamp, 900)
	require.NotEqual(t, f.Size(), g.Size())
	g.reads = f.reads
	return g
}

func TestFootersThatWereUsedLastAreKept(t *testing.T) {
	t.Parallel()
	var c footers
	f := stampedFile(t, "1", 7)
	one, err := parquet.Open(f, f.Size(), "x")
	require.NoError(t, err)
	memory := 3 * one.FooterBytes() * footersShare
	for _, name := range strings.Split("a b c a d", " ") {
		_, err := c.open(f, name, memory)
		require.NoError(t, err)
	}
	require.Equal(t, 3*one.FooterBytes(), c.bytes)
	var names []string
	for _, k := range c.kept {
		names = append(names, k.key[:1])
	}
	require.Equal(t, []string{"c", "a", "d"}, names)
}

func TestTheStampOfAFileOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	stamp := func() string {
		f, err := (*files.Files)(nil).Open(t.Context(), path, "")
		require.NoError(t, err)
		defer f.Close() //nolint:errcheck // it is only read
		return f.Stamp()
	}
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	info, err := os.Stat(path)
	require.NoError(t, err)
	first := stamp()
	require.Equal(t, fmt.Sprint(info.ModTime().UnixNano()), first)
	later := info.ModTime().Add(1)
	require.NoError(t, os.Chtimes(path, later, later))
	require.NotEqual(t, first, stamp())
}

func TestWhatWasMadeLastIsKnown(t *testing.T) {
	t.Parallel()
	var r recent[int]
	made := 0
	of := func(key string) int {
		n, err := r.of(key, func() (int, error) { made++; return len(key), nil })
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 3, of("abc"))
	require.Equal(t, 3, of("abc"))
	require.Equal(t, 1, made)
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		of(k)
	}
	require.LessOrEqual(t, len(r.made), 4)
	_, err := r.of("x", func() (int, error) { return 0, os.ErrInvalid })
	require.ErrorIs(t, err, os.ErrInvalid)
	require.NotContains(t, r.made, "x")
}

func TestATaskMayChangeWhatTheSurveyHasFound(t *testing.T) {
	t.Parallel()
	b := bench(t, t.TempDir())
	w := &work{Env: b.env, ctx: t.Context()}
	digest, err := w.put(&Survey{Input: &Dataset{Path: "in"}, Reference: &Dataset{Path: "before"}})
	require.NoError(t, err)
	var one, other Survey
	require.NoError(t, w.surveyed(digest, &one))
	one.Input.windows, one.Reference.Path = &attached{}, "changed"
	require.NoError(t, w.surveyed(digest, &other))
	require.Nil(t, other.Input.windows)
	require.Equal(t, "before", other.Reference.Path)
	require.NotNil(t, other.Input.footers)
}
