package collective_test

import (
	"testing"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/collective/collectivetest"
)

func TestLocalKeepsThePromises(t *testing.T) {
	t.Parallel()
	collectivetest.Run(t, func(_ *testing.T, n int) []collective.Comm { return collective.Local(n) })
}

func TestSoloIsAGangOfOne(t *testing.T) {
	t.Parallel()
	c := collective.Solo{}
	v := []int64{1, -2}
	if err := c.AllReduce(t.Context(), v); err != nil || v[0] != 1 || v[1] != -2 {
		t.Errorf("sum over one rank: %v, %v", v, err)
	}
	b, err := c.Broadcast(t.Context(), 0, []byte("x"))
	if err != nil || string(b) != "x" || c.Rank() != 0 || c.WorldSize() != 1 || c.Generation() != 1 {
		t.Errorf("broadcast over one rank: %q, %v", b, err)
	}
}
