package registry_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
	"github.com/troupe-ml/troupe/store"
)

type counter struct {
	N    int    `json:"n"`
	Note string `json:"note,omitempty"`
}

func counters(s *mapStore) document.Collection[counter] {
	return document.Collection[counter]{Prefix: "count", Blobs: blobs{s}, Refs: refs{s}}
}

func TestNoIncrementIsLostWhenManyWriteAtOnce(t *testing.T) {
	t.Parallel()
	c := counters(newMapStore())
	const writers, each = 8, 20
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				_, err := c.Update(t.Context(), "k", func(d *counter, _ bool) error { d.N++; return nil })
				assert.NoError(t, err)
			}
		})
	}
	wait.Wait()
	got, err := c.Load(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, writers*each, got.N)
}

func TestAChangeIsMadeAgainOnTopOfAFasterWriter(t *testing.T) {
	t.Parallel()
	s := newMapStore()
	c := counters(s)
	s.before = func() {
		s.before = nil
		_, err := c.Update(t.Context(), "k", func(d *counter, _ bool) error { d.N = 10; return nil })
		require.NoError(t, err)
	}
	got, err := c.Update(t.Context(), "k", func(d *counter, _ bool) error { d.N++; return nil })
	require.NoError(t, err)
	assert.Equal(t, 11, got.N)
}

func TestAChangeThatChangesNothingWritesNothing(t *testing.T) {
	t.Parallel()
	s := newMapStore()
	c := counters(s)
	set := func(d *counter, _ bool) error { d.N = 3; return nil }
	_, err := c.Update(t.Context(), "k", set)
	require.NoError(t, err)
	_, err = c.Update(t.Context(), "k", set)
	require.NoError(t, err)
	got, err := c.Update(t.Context(), "k", func(d *counter, _ bool) error { d.N = 99; return document.Unchanged })
	require.NoError(t, err)
	assert.Equal(t, 3, got.N, "what a change did before it returned Unchanged does not count")
	assert.Equal(t, 1, s.sets)
}

func TestAnErrorOfAChangeIsReturnedAndNothingWritten(t *testing.T) {
	t.Parallel()
	s := newMapStore()
	wrong := errors.New("wrong")
	_, err := counters(s).Update(t.Context(), "k", func(d *counter, _ bool) error { d.N = 1; return wrong })
	require.ErrorIs(t, err, wrong)
	assert.Zero(t, s.sets)
}

func TestDamageIsReportedByKind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		kind fault.Kind
		want string
	}{
		"no JSON":              {"{", fault.Corrupt, "unexpected end"},
		"a newer version":      {`{"version":2,"key":"k","document":{}}`, fault.Invalid, "version 2, and this program reads version 1"},
		"another's document":   {`{"version":1,"key":"q","document":{}}`, fault.Corrupt, `holds the document of "q"`},
		"a field not known":    {`{"version":1,"key":"k","document":{"m":1}}`, fault.Corrupt, `unknown field "m"`},
		"a value of the wrong": {`{"version":1,"key":"k","document":{"n":"x"}}`, fault.Corrupt, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMapStore()
			d, err := blobs{s}.Put(t.Context(), []byte(test.text))
			require.NoError(t, err)
			_, err = refs{s}.Set(t.Context(), "count.k", []byte(d), 0)
			require.NoError(t, err)
			_, err = counters(s).Load(t.Context(), "k")
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.kind, fault.Of(err))
		})
	}
}

func TestARefWithoutItsBlobIsCorruptNotMissing(t *testing.T) {
	t.Parallel()
	s := newMapStore()
	_, err := refs{s}.Set(t.Context(), "count.k", []byte(store.DigestOf([]byte("gone"))), 0)
	require.NoError(t, err)
	_, err = counters(s).Load(t.Context(), "k")
	assert.Equal(t, fault.Corrupt, fault.Of(err))
}

func TestEveryKeyComesBackFromTheStore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := counters(newMapStore())
		keys := rapid.SliceOfNDistinct(rapid.String(), 1, 5, rapid.ID[string]).Draw(rt, "keys")
		for i, key := range keys {
			_, err := c.Update(t.Context(), key, func(d *counter, _ bool) error { d.N = i; return nil })
			require.NoError(rt, err)
		}
		got, err := c.Keys(t.Context())
		require.NoError(rt, err)
		require.ElementsMatch(rt, keys, got)
		for i, key := range keys {
			d, err := c.Load(t.Context(), key)
			require.NoError(rt, err)
			require.Equal(rt, i, d.N)
		}
	})
}
