package text

import (
	"bytes"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Head returns the beginning of a file without its byte order mark. What is no
// UTF-8 with lines that end as they do here would be read as something else than
// it is, so it is of kind Invalid, with what turns it into such.
func Head(b []byte) ([]byte, error) {
	b, err := skipMark(b)
	line := bytes.TrimRight(b, "\r\n") // a file may be one line, ended as it is elsewhere
	switch {
	case err != nil:
		return nil, err
	case isWide(b):
		return nil, fault.New(fault.Invalid, "the text looks like UTF-16 without a mark; expected UTF-8: iconv -f UTF-16LE -t UTF-8 (or UTF-16BE) converts it")
	case bytes.IndexByte(line, '\r') >= 0 && bytes.IndexByte(line, '\n') < 0:
		return nil, fault.New(fault.Invalid, `its lines end with CR alone; expected LF, or CR and LF: tr '\r' '\n' converts them`)
	}
	return b, nil
}

// isWide reports whether every other byte is NUL, as of text of Europe in UTF-16.
func isWide(b []byte) bool {
	const most, least = 1 << 10, 4
	b = b[:min(len(b), most)]
	var nuls [2]int
	for i, c := range b {
		if c == 0 {
			nuls[i&1]++
		}
	}
	few, many := min(nuls[0], nuls[1]), max(nuls[0], nuls[1])
	return len(b) >= least && few == 0 && 4*many >= 3*(len(b)/2)
}
