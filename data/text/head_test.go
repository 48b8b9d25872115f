package text

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
)

func TestWhatIsNoUTF8OfLinesIsNamed(t *testing.T) {
	t.Parallel()
	for in, says := range map[string]string{
		"":                                   "",
		"a":                                  "",
		"a,b\n1,2\n":                         "",
		"\xef\xbb\xbfa,b\r\n":                "",
		"a,b\n\"x\ry\",1\n":                  "", // CR within a text
		"a\x00\n\x00\x00\n":                  "", // some NULs
		"a,b\n\x00\x00\x00\x00":              "",
		strings.Repeat("\x00", 100):          "", // nothing but NULs
		"\xfe\xff\x00a":                      "the text is UTF-16",
		"a\x00b\x00":                         "looks like UTF-16",
		"\x00a\x00b\x00\n":                   "looks like UTF-16",
		strings.Repeat("a\x00", 5000):        "looks like UTF-16",
		"a\x00,\x00\xe4\x00\x16 \n\x00x\x00": "looks like UTF-16", // one letter of it beyond Latin 1
		"a,b\r\n":                            "",
		"a,b\r1,2\r\n":                       "CR alone",
		"a,b\r1,2\r":                         "CR alone",
	} {
		got, err := Head([]byte(in))
		if says == "" {
			require.NoError(t, err, "%q", in)
			require.Equal(t, strings.TrimPrefix(in, "\xef\xbb\xbf"), string(got))
			continue
		}
		require.ErrorContains(t, err, says, "%q", in)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}
