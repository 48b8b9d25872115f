package parquet

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesOfOtherFormatsAreRecognized(t *testing.T) {
	t.Parallel()
	const none = "f.parquet: not a Parquet file, or cut short: no PAR1 at its end"
	for in, says := range map[string]string{
		"a,b\n1,x\n2,y\r\n":                        none + "; it looks like text; troupe data import makes Parquet of it",
		"ARROW1\x00\x00" + "......" + "ARROW1":     none + "; it is an Arrow file; troupe data import makes Parquet of it",
		"PAR1" + strings.Repeat("\x00\x01", 100):   none,
		"PAR1" + strings.Repeat("x", 100) + "\x80": none,
	} {
		_, err := Open(bytes.NewReader([]byte(in)), int64(len(in)), "f.parquet")
		require.EqualError(t, err, "parquet: "+says)
	}
}
