package s3_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
	"github.com/troupe-ml/troupe/store/s3"
	"github.com/troupe-ml/troupe/store/s3/s3test"
	"github.com/troupe-ml/troupe/store/storetest"
)

// A bucket keeps blobs as every store does; refs and logs stay where they are.
func TestABucketKeepsThePromisesOfBlobs(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		t.Helper()
		c := server.Client(t, nil)
		root := at("blobs").Join(t.Name())
		st := memory.New()
		st.Blobs = c.Blobs(root)
		return storetest.Fixture{Store: st, Frail: true, Corrupt: func(t *testing.T, d store.Digest) {
			t.Helper()
			_, err := c.Put(t.Context(), root.Join(d.Hex()[:2]).Join(d.Hex()[2:]), []byte("something else"), s3.Condition{})
			require.NoError(t, err)
		}}
	})
}
