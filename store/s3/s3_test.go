package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/store/s3"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(key string) s3.URL { return s3.URL{Bucket: s3test.Bucket, Key: key} }

func noise(n int) []byte {
	r := rng.New(1, "noise")
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// put writes an object and forgets what the proxy has seen of it.
func put(t *testing.T, s *s3test.Server, key string, b []byte) {
	t.Helper()
	up := s.Client(t, nil).Create(context.Background(), at(key))
	_, err := up.Write(b)
	require.NoError(t, err)
	_, err = up.Commit()
	require.NoError(t, err)
	s.Set(nil)
}

func open(t *testing.T, c *s3.Client, key string) *s3.Object {
	t.Helper()
	o, err := c.Open(context.Background(), at(key), "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	return o
}

func TestAnObjectReadsAsItsBytesInAnyOrder(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	b := noise(20<<20 + 17)
	put(t, s, "a/b.bin", b)
	o := open(t, s.Client(t, func(c *s3.Config) { c.SegmentBytes, c.AheadBytes = 5<<20, 12<<20 }), "a/b.bin")
	require.EqualValues(t, len(b), o.Info().Bytes)
	o.Plan([]s3.Range{{Start: 0, End: 3 << 20}, {Start: 3<<20 + 5, End: 6 << 20}}, []s3.Range{{Start: 9 << 20, End: 19 << 20}})
	r := rng.New(2, "reads")
	for range 40 {
		from := r.Int64N(int64(len(b)))
		p := make([]byte, r.Int64N(4<<20))
		n, err := o.ReadAt(p, from)
		want := b[from:min(from+int64(len(p)), int64(len(b)))]
		require.True(t, bytes.Equal(want, p[:n]), "%d bytes at %d", len(p), from)
		if n < len(p) {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
	}
	_, err := o.ReadAt(make([]byte, 1), -1)
	require.Equal(t, fault.Invalid, fault.Of(err))
}

func TestSmallAndEmptyObjects(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	for _, n := range []int{0, 1, 65535, 65536, 65537} {
		key := fmt.Sprintf("n/%d", n)
		b := noise(n)
		put(t, s, key, b)
		o := open(t, s.Client(t, nil), key)
		require.EqualValues(t, n, o.Info().Bytes)
		got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Info().Bytes))
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, got), n)
	}
}

func TestOpeningTakesOneRequestAndNeighboursAnother(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	b := noise(8 << 20)
	put(t, s, "x", b)
	o := open(t, s.Client(t, nil), "x")
	require.Len(t, s.Requests(), 1)
	require.Equal(t, "bytes=-65536", s.Requests()[0].Range)

	plan := []s3.Range{{Start: 100, End: 200}, {Start: 1 << 20, End: 1<<20 + 10}, {Start: 5 << 20, End: 5<<20 + 10}, {Start: 8<<20 - 10, End: 8 << 20}}
	o.Plan(plan)
	for _, r := range plan {
		p := make([]byte, r.End-r.Start)
		_, err := o.ReadAt(p, r.Start)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b[r.Start:r.End], p))
	}
	var ranges []string
	for _, r := range s.Requests()[1:] {
		ranges = append(ranges, r.Range)
	}
	// A gap of less than 1 MiB is fetched, one of 4 MiB is not, and the end is there.
	require.ElementsMatch(t, []string{"bytes=100-1048585", "bytes=5242880-5242889"}, ranges)
}

// A row group's columns may be read in another order than they lie in.
func TestTheRangesOfAStepMayBeReadInAnyOrder(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	b := noise(40 << 20)
	put(t, s, "x", b)
	o := open(t, s.Client(t, func(c *s3.Config) { c.SegmentBytes = 5 << 20 }), "x")
	s.Set(nil)
	step := func(from int64) []s3.Range {
		return []s3.Range{{Start: from, End: from + 1000}, {Start: from + 5<<20, End: from + 5<<20 + 1000}, {Start: from + 8<<20, End: from + 8<<20 + 1000}}
	}
	o.Plan(step(0), step(12<<20), step(24<<20))
	for _, from := range []int64{0, 12 << 20, 24 << 20} {
		for _, i := range []int{2, 0} { // and the one between is not read at all
			r := step(from)[i]
			p := make([]byte, r.End-r.Start)
			_, err := o.ReadAt(p, r.Start)
			require.NoError(t, err)
			require.True(t, bytes.Equal(b[r.Start:r.End], p))
		}
	}
	require.Len(t, s.Requests(), 9)
}

func TestReadingAheadIsBounded(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	put(t, s, "x", noise(40<<20))
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	c := s.Client(t, func(c *s3.Config) { c.SegmentBytes, c.AheadBytes, c.MaxAheadBytes = 5<<20, 15<<20, 20<<20 })
	one, two := open(t, c, "x"), open(t, c, "x")
	s.Set(nil)
	whole := []s3.Range{{Start: 0, End: 40 << 20}}
	one.Plan(whole)
	two.Plan(whole)
	p := make([]byte, 40<<20)
	_, err := two.ReadAt(p, 0)
	require.NoError(t, err)
	// 40 MiB in 8 segments for the one, and for the other at most 3 that were
	// fetched before anybody read.
	require.LessOrEqual(t, len(s.Requests()), 11)
	require.GreaterOrEqual(t, len(s.Requests()), 9)
}

func TestBrokenAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, how := range []s3test.Answer{s3test.Busy, s3test.Fail, s3test.Cut, s3test.Drop, s3test.Lose, s3test.Hang, s3test.Expire} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			t.Parallel()
			s := s3test.Start(t)
			slow := func(c *s3.Config) {
				c.SegmentBytes = 5 << 20
				if how == s3test.Hang { // short, but not too short for a busy machine
					c.Timeout, c.MinBytesPerSecond = 3*time.Second, 5<<20
				}
			}
			c := s.Client(t, slow)
			b := noise(11 << 20)
			r := rand.New(rand.NewPCG(uint64(how), 1)) //nolint:gosec // a seeded one is wanted
			faults, most := 0, 7                       // one request has 8 attempts
			if how == s3test.Hang {
				most = 3
			}
			s.Set(func(int, s3test.Request) s3test.Answer {
				if r.IntN(2) == 0 && faults < most {
					faults++
					return how
				}
				return s3test.Pass
			})
			up := c.Create(context.Background(), at("k"))
			_, err := up.Write(b)
			require.NoError(t, err)
			_, err = up.Commit()
			require.NoError(t, err)
			require.NoError(t, up.Abort(context.Background()))
			o := open(t, c, "k")
			got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Info().Bytes))
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, got))
			_, err = c.Put(context.Background(), at("once"), []byte("text"), s3.Condition{Absent: true})
			require.NoError(t, err)
			small, _, err := c.Read(context.Background(), at("once"), 100)
			require.NoError(t, err)
			require.Equal(t, "text", string(small))
			_, err = c.Copy(context.Background(), o.Info(), at("copy"))
			require.NoError(t, err)
			require.Equal(t, []string{"copy", "k", "once"}, keys(t, c, ""))
			s.Set(nil)
			if how != s3test.Lose && how != s3test.Cut { // an upload whose id was lost cannot be aborted
				require.Zero(t, s.Uploads(t))
			}
		})
	}
}

func TestWhatStaysAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	put(t, s, "k", noise(1<<20))
	c := s.Client(t, func(c *s3.Config) { c.Attempts = 3 })
	o := open(t, c, "k")
	s.Set(func(int, s3test.Request) s3test.Answer { return s3test.Busy })
	_, err := o.ReadAt(make([]byte, 10), 0)
	require.Equal(t, fault.Unavailable, fault.Of(err))
	require.ErrorContains(t, err, "s3://lake/k")
	require.ErrorContains(t, err, "3 attempts")
	require.Len(t, s.Requests(), 3)
}

func TestAChangedObjectIsNotMixedWithTheOldOne(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	put(t, s, "k", noise(1<<20))
	c := s.Client(t, nil)
	o := open(t, c, "k")
	_, err := c.Open(context.Background(), at("k"), o.Info().Version)
	require.NoError(t, err)
	put(t, s, "k", noise(2<<20))
	_, err = o.ReadAt(make([]byte, 10), 0)
	require.Equal(t, fault.Conflict, fault.Of(err), err)
	require.ErrorContains(t, err, "s3://lake/k")
	require.ErrorContains(t, err, "changed")
	_, err = c.Open(context.Background(), at("k"), o.Info().Version)
	require.Equal(t, fault.Conflict, fault.Of(err), err)

	other := open(t, c, "k") // a store that takes no notice of If-Match
	s.Set(func(int, s3test.Request) s3test.Answer { return s3test.Other })
	_, err = other.ReadAt(make([]byte, 10), 0)
	require.Equal(t, fault.Conflict, fault.Of(err), err)
}

func TestRefusalsAreClear(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	put(t, s, "k", noise(100))
	c := s.Client(t, nil)
	ctx := context.Background()
	_, err := c.Open(ctx, at("nothing"), "")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, fault.NotFound, fault.Of(err))
	require.ErrorContains(t, err, "s3://lake/nothing")
	_, err = c.Open(ctx, s3.URL{Bucket: "no-such-bucket", Key: "k"}, "")
	require.ErrorContains(t, err, `there is no bucket "no-such-bucket"`)
	require.Equal(t, fault.NotFound, fault.Of(err))
	_, _, err = c.Read(ctx, at("k"), 99)
	require.ErrorContains(t, err, "at most 99")

	s.Set(func(int, s3test.Request) s3test.Answer { return s3test.Forbid })
	_, err = c.Open(ctx, at("k"), "")
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "access denied")
	require.Len(t, s.Requests(), 1, "asking again does not help")
	s.Set(nil)

	wrong := s.Client(t, func(c *s3.Config) {
		c.Keys = func() (s3.Keys, error) { return s3.Keys{Access: s3test.Access, Secret: "hush-hush"}, nil }
	})
	_, err = wrong.Open(ctx, at("k"), "")
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "hush-hush")

	none := s.Client(t, func(c *s3.Config) {
		c.Keys = func() (s3.Keys, error) { return s3.Keys{}, errors.New("the profile is empty") }
	})
	_, err = none.Open(ctx, at("k"), "")
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "the profile is empty")
}

func TestConditionalWritesAreWonOnce(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	c := s.Client(t, nil)
	ctx := context.Background()
	won := make(chan bool, 8)
	for i := range 8 {
		go func() {
			_, err := c.Put(ctx, at("m"), fmt.Appendf(nil, "writer %d", i), s3.Condition{Absent: true})
			if err != nil && fault.Of(err) != fault.Conflict {
				t.Errorf("writer %d: %v", i, err)
			}
			won <- err == nil
		}()
	}
	winners := 0
	for range 8 {
		if <-won {
			winners++
		}
	}
	require.Equal(t, 1, winners)
	info, err := c.Stat(ctx, at("m"))
	require.NoError(t, err)
	next, err := c.Put(ctx, at("m"), []byte("next"), s3.Condition{Version: info.Version})
	require.NoError(t, err)
	_, err = c.Put(ctx, at("m"), []byte("late"), s3.Condition{Version: info.Version})
	require.Equal(t, fault.Conflict, fault.Of(err))
	now, err := c.Stat(ctx, at("m"))
	require.NoError(t, err)
	require.Equal(t, next.Version, now.Version)
}

func TestAnUploadIsInvisibleUntilItIsCommitted(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	c := s.Client(t, func(c *s3.Config) { c.SegmentBytes = 5 << 20 })
	ctx := context.Background()
	put(t, s, "k", []byte("old"))
	up := c.Create(ctx, at("k"))
	_, err := up.Write(noise(12 << 20))
	require.NoError(t, err)
	b, _, err := c.Read(ctx, at("k"), 10)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	require.Equal(t, 1, s.Uploads(t))
	require.NoError(t, up.Abort(ctx))
	require.NoError(t, up.Abort(ctx))
	require.Zero(t, s.Uploads(t))
	b, _, err = c.Read(ctx, at("k"), 10)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
}

func TestAnUploadThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	c := s.Client(t, func(c *s3.Config) { c.SegmentBytes, c.Attempts = 5<<20, 2 })
	s.Set(func(n int, _ s3test.Request) s3test.Answer {
		if n >= 2 {
			return s3test.Busy
		}
		return s3test.Pass
	})
	up := c.Create(context.Background(), at("k"))
	var err error
	for range 8 {
		if _, err = up.Write(noise(3 << 20)); err != nil {
			break
		}
	}
	if err == nil {
		_, err = up.Commit()
	}
	require.Equal(t, fault.Unavailable, fault.Of(err), err)
	s.Set(nil)
	require.NoError(t, up.Abort(context.Background()))
	require.Zero(t, s.Uploads(t))
	require.Empty(t, keys(t, c, ""))
}

func TestListingPagesThroughAllKeys(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	c := s.Client(t, nil)
	var want []string
	for i := range 1234 {
		key := fmt.Sprintf("p/day=%02d/f-%04d.parquet", i%7, i)
		_, err := c.Put(context.Background(), at(key), []byte("x"), s3.Condition{})
		require.NoError(t, err)
		want = append(want, key)
	}
	_, err := c.Put(context.Background(), at("q"), []byte("x"), s3.Condition{})
	require.NoError(t, err)
	r := rng.New(3, "list")
	s.Set(func(int, s3test.Request) s3test.Answer {
		if r.IntN(3) == 0 {
			return s3test.Busy
		}
		return s3test.Pass
	})
	got := keys(t, c, "p/")
	require.ElementsMatch(t, want, got)
	require.IsIncreasing(t, got)
}

func keys(t *testing.T, c *s3.Client, prefix string) []string {
	t.Helper()
	var out []string
	require.NoError(t, c.List(context.Background(), at(prefix), func(i s3.Info) bool {
		out = append(out, i.URL.Key)
		return true
	}))
	return out
}

func TestACancelledContextEndsTheWait(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t)
	put(t, s, "k", noise(1<<20))
	c := s.Client(t, nil)
	s.Set(func(int, s3test.Request) s3test.Answer { return s3test.Hang })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Open(ctx, at("k"), "")
	require.Equal(t, fault.Canceled, fault.Of(err))
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	k := s3.Keys{Access: "me", Secret: "hush", Session: "silence"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("keys", slog.Any("keys", k), slog.Any("secret", k.Secret))
	shown := fmt.Sprintf("%v %+v %#v %s %q", k, k, k, k.Secret, k.Session) + log.String()
	require.NotContains(t, shown, "hush")
	require.NotContains(t, shown, "silence")
	require.Contains(t, shown, "[secret]")
	require.Empty(t, s3.Secret("").String())
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]s3.URL{
		"s3://lake/a/b.parquet": {Bucket: "lake", Key: "a/b.parquet"},
		"s3://lake":             {Bucket: "lake"},
		"s3://lake/":            {Bucket: "lake"},
		"s3://lake/a b/%20/":    {Bucket: "lake", Key: "a b/%20/"},
	} {
		u, err := s3.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, u)
	}
	for _, text := range []string{"lake/a", "s3:/lake", "s3://", "s3:///a", "s3://la!ke/a", "s3://lake/a//b", "s3://lake/../b", "s3://lake//", "s3://lake/" + strings.Repeat("k", 1025)} {
		_, err := s3.Parse(text)
		require.Equal(t, fault.Invalid, fault.Of(err), text)
	}
	require.Equal(t, "s3://lake/a/b", s3.URL{Bucket: "lake", Key: "a"}.Join("b").String())
	require.Equal(t, "s3://lake/b", s3.URL{Bucket: "lake"}.Join("b").String())
}

func TestConfigsAreJudgedWhole(t *testing.T) {
	t.Parallel()
	require.NoError(t, s3.DefaultConfig().Validate())
	c := s3.DefaultConfig()
	c.Endpoint, c.Attempts, c.SegmentBytes, c.Clock = "ftp://me:pw@x/y", 0, 1, nil
	err := c.Validate()
	for _, want := range []string{"endpoint", "attempts", "segment", "clock"} {
		require.ErrorContains(t, err, want)
	}
	_, err = s3.New(c)
	require.Error(t, err)
}
