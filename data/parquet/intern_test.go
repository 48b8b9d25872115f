package parquet

import (
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
	const crowd, places = maxProbes + 500, 1 << 14
	var all [][]byte
	for i := uint64(0); len(all) < crowd; i++ {
		if b := binary.LittleEndian.AppendUint64(nil, i); xxh3.Hash(b)%places == 7 {
			all = append(all, b)
		}
	}
	for i := range places { // which make the table grow, so that all are placed anew
		all = append(all, []byte(strconv.Itoa(i)))
	}
	in := interner{}
	most := 0
	for i, b := range all {
		require.Equal(t, uint32(i), in.code(b))
		most = max(most, len(in.crowd))
		if i%1000 == 0 || i == crowd {
			for k := range i {
				require.Equal(t, uint32(k), in.code(all[k]))
			}
		}
	}
	require.Greater(t, most, 400)
	require.Len(t, in.dict, len(all))
}
