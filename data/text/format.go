package text

import (
	"strconv"
	"time"

	"github.com/troupe-ml/troupe/data"
)

// AppendValue writes a value that is not null as this package reads it again.
func AppendValue(b []byte, f data.Field, c *data.Column, row int) []byte {
	switch c.Type {
	case data.Bool:
		return strconv.AppendBool(b, c.Bools[row])
	case data.Int32:
		return strconv.AppendInt(b, int64(c.Int32s[row]), 10)
	case data.Int64:
		return strconv.AppendInt(b, c.Int64s[row], 10)
	case data.Float32:
		return strconv.AppendFloat(b, float64(c.Float32s[row]), 'g', -1, 32)
	case data.Float64:
		return strconv.AppendFloat(b, c.Float64s[row], 'g', -1, 64)
	case data.Date:
		return time.Unix(int64(c.Int32s[row])*86400, 0).UTC().AppendFormat(b, time.DateOnly)
	case data.Timestamp:
		b = time.UnixMicro(c.Int64s[row]).UTC().AppendFormat(b, "2006-01-02T15:04:05.999999")
		if f.UTC {
			b = append(b, 'Z')
		}
		return b
	default:
		return append(b, c.Dict[c.Codes[row]]...)
	}
}
