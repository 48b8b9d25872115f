package datatest

import (
	"bytes"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
)

// Keys is a Parquet file of another writer with keys of UINT(64), column key, and
// lists of each and of 1, column list; with bounds in its statistics or without.
func Keys(t require.TestingT, bounds bool, keys ...uint64) []byte {
	type row struct {
		Key  uint64   `parquet:"key"`
		List []uint64 `parquet:"list,list"`
	}
	var options []parquet.WriterOption
	if !bounds {
		options = append(options, parquet.SkipPageBounds("key"), parquet.SkipPageBounds("list", "list", "element"))
	}
	var rows []row
	for _, k := range keys {
		rows = append(rows, row{k, []uint64{k, 1}})
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, options...)
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
