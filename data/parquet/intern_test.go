package parquet

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
)

// Strings that somebody has chosen so that all have the same place in the table
// take no more time than others: each would be held against all before it.
func TestStringsThatCrowdAreFoundAgain(t *testing.T) {
	t.Parallel()
	const crowd, places = 2 * maxProbes, 1 << 14 // so many that the table grows when there is nothing else in it
	var all [][]byte
	b := make([]byte, 8)
	for i := uint64(0); len(all) < crowd; i++ {
		if binary.LittleEndian.PutUint64(b, i); xxh3.Hash(b)%places == 7 {
			all = append(all, bytes.Clone(b))
		}
	}
	for i := range places { // which make the table grow, so that all are placed anew
		all = append(all, []byte(strconv.Itoa(i)))
	}
	in := interner{}
	most := 0
	for i, b := range all {
		if i%5000 == 0 || i == crowd {
			for k := range i {
				require.Equal(t, uint32(k), in.code(all[k]))
			}
		}
		require.Equal(t, uint32(i), in.code(b))
		most = max(most, len(in.crowd))
	}
	require.Greater(t, most, 400)
	require.Len(t, in.dict, len(all))
}
