package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/anchore/go-lzo"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// zstdSlack lets klauspost/zstd use its fast sequence decoder, which it does
// only while the destination has room for a whole block beyond the data.
const zstdSlack = 128<<10 + 64

// maxRatio returns how many bytes a codec can make of one, or 0 for a codec
// that is not supported. A page that claims more is refused before memory is
// set aside for it.
func maxRatio(codec format.CompressionCodec) int {
	switch codec {
	case format.Snappy:
		return 64
	case format.Lz4Raw, format.Lz4, format.LZO:
		return 256
	case format.Gzip:
		return 1040
	case format.Zstd:
		return 40000 // a run of a whole block takes 4 bytes
	case format.Brotli:
		return 1 << 20 // no bound of use, but its memory grows only as data comes
	default:
		return 0
	}
}

var errSize = errors.New("decompressed size is not what the header says")

// unpacker decompresses pages and keeps what can be used again.
type unpacker struct {
	zstd   *zstd.Decoder
	gzip   *gzip.Reader
	brotli *brotli.Reader
	stop   func() error // says why nobody wants the page any more, if there is a reason; nil: there is none
}

// unpack returns src decompressed to exactly size bytes, in *buf, which grows
// as needed, or src itself when nothing is compressed.
func (u *unpacker) unpack(codec format.CompressionCodec, src []byte, size int, buf *[]byte) ([]byte, error) {
	if codec == format.Uncompressed {
		if len(src) != size {
			return nil, errSize
		}
		return src, nil
	}
	ratio := maxRatio(codec)
	if ratio == 0 {
		return nil, fmt.Errorf("compression codec %d (%v) is not supported; write the file with zstd, snappy, gzip, lz4_raw, brotli or none", int(codec), codec)
	}
	if size > 1<<16 && size/ratio > len(src)+1 {
		return nil, fmt.Errorf("%v: %d bytes cannot become %d", codec, len(src), size)
	}
	if size == 0 && len(src) == 0 {
		return nil, nil
	}
	var out []byte
	var err error
	switch codec {
	case format.Zstd:
		out, err = u.unzstd(src, size, buf)
	case format.Snappy:
		out, err = unsnappy(src, size, buf)
	case format.Lz4Raw:
		out, err = unlz4(src, grow(buf, size))
	case format.Lz4:
		out, err = unhadoop(src, grow(buf, size), unlz4)
	case format.LZO:
		out, err = unhadoop(src, grow(buf, size), unlzo)
	case format.Gzip:
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		if err = u.gzip.Reset(bytes.NewReader(src)); err == nil {
			out, err = inflate(u.gzip, size, buf, u.stop)
		}
	case format.Brotli:
		if u.brotli == nil {
			u.brotli = brotli.NewReader(nil)
		}
		if err = u.brotli.Reset(bytes.NewReader(src)); err == nil {
			out, err = inflate(u.brotli, size, buf, u.stop)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", codec, err)
	}
	if len(out) != size {
		return nil, errSize
	}
	return out, nil
}

func (u *unpacker) unzstd(src []byte, size int, buf *[]byte) ([]byte, error) {
	if u.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage+zstdSlack), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
		u.zstd = d
	}
	return u.zstd.DecodeAll(src, grow(buf, size+zstdSlack)[:0])
}

func unlz4(src, dst []byte) ([]byte, error) {
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}

func unlzo(src, dst []byte) ([]byte, error) {
	n, err := lzo.Decompress(src, dst)
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}

// unhadoop undoes LZO and the older LZ4, whose frame the format left open: blocks
// as Hadoop writes them, or, from some writers, one bare block.
func unhadoop(src, dst []byte, block func(src, dst []byte) ([]byte, error)) ([]byte, error) {
	if n, ok := hadoopBlocks(src, dst, block); ok {
		return dst[:n], nil
	}
	return block(src, dst)
}

// hadoopBlocks undoes blocks: the length of what each becomes, and then, until
// that is reached, packed pieces of it behind their own lengths.
func hadoopBlocks(src, dst []byte, block func(src, dst []byte) ([]byte, error)) (n int, ok bool) {
	for len(src) > 0 {
		plain, rest, ok := bigEndian(src)
		if !ok || plain > len(dst)-n {
			return 0, false
		}
		end := n + plain
		for first := true; first || n < end; first = false {
			packed, piece, ok := bigEndian(rest)
			if !ok || packed > len(piece) {
				return 0, false
			}
			out, err := block(piece[:packed], dst[n:end])
			if err != nil || len(out) == 0 && plain > 0 {
				return 0, false
			}
			n, rest = n+len(out), piece[packed:]
		}
		src = rest
	}
	return n, true
}

// bigEndian splits a length off.
func bigEndian(b []byte) (n int, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint32(b)), b[4:], true
}

func unsnappy(src []byte, size int, buf *[]byte) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, errSize
	}
	return snappy.Decode(grow(buf, size), src)
}

// inflate reads size bytes and the end of the stream. Memory grows with what
// has come, so a claim alone costs nothing.
func inflate(r io.Reader, size int, buf *[]byte, stop func() error) ([]byte, error) {
	const piece = 8 << 20
	n := 0
	out := grow(buf, min(size, max(cap(*buf), 1<<20)))
	for {
		k, err := io.ReadFull(r, out[n:min(n+piece, len(out))])
		n += k
		if err == nil && stop != nil {
			err = stop()
		}
		if err != nil {
			return nil, err
		}
		if n == size {
			break
		}
		if n < len(out) {
			continue
		}
		bigger := make([]byte, min(size, 2*len(out)))
		copy(bigger, out)
		*buf, out = bigger, bigger
	}
	var end [1]byte
	if k, err := io.ReadFull(r, end[:]); k != 0 || !errors.Is(err, io.EOF) {
		return nil, errSize
	}
	return out, nil
}

// grow returns *buf with length n, of a new array if the old is too small.
func grow(buf *[]byte, n int) []byte {
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	*buf = (*buf)[:n]
	return *buf
}
