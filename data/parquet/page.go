package parquet

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/format"
)

// maxPage is the largest page that is read, compressed or not. Writers aim at
// 1 MiB; a page of more than this is a claim, not data.
const maxPage = 256 << 20

// page is one page of a chunk: what its header says, held against what is there.
type page struct {
	kind       format.PageType
	encoding   format.Encoding
	numValues  int
	body       []byte          // levels and values, as in the file
	plain      int             // bytes of body when decompressed
	reps       int             // v2: bytes of repetition levels, which come first and are never compressed
	levels     int             // v2: bytes of definition levels, the same
	compressed bool            // v2 pages may be left as they are
	levelsKind format.Encoding // v1: of definition levels,
	repsKind   format.Encoding // and of repetition levels
}

// pageHeader is PageHeader of parquet.thrift, the parts that are used.
type pageHeader struct {
	page
	packed    int
	crc       uint32
	hasCRC    bool
	hasDetail bool
}

func (r *compact) pageHeader() pageHeader {
	h := pageHeader{page: page{kind: -1, plain: -1, compressed: true, levelsKind: format.RLE, repsKind: format.RLE}, packed: -1}
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			h.kind = format.PageType(r.i32(t))
		case 2:
			h.plain = int(r.int(t, 0, maxPage))
		case 3:
			h.packed = int(r.int(t, 0, maxPage))
		case 4:
			h.crc, h.hasCRC = uint32(r.i32(t)), true
		case 5, 7, 8:
			if t != thriftStruct {
				return false
			}
			r.pageDetail(id, &h)
		default:
			return false
		}
		return true
	})
	return h
}

// pageDetail reads the header of a data page (field 5), dictionary page (7) or
// data page of version 2 (8).
func (r *compact) pageDetail(kind int16, h *pageHeader) {
	h.hasDetail = true
	h.numValues = -1
	r.fields(func(id int16, t byte) bool {
		switch {
		case id == 1:
			h.numValues = int(r.int(t, 0, 1<<31-1))
		case id == 2 && kind != 8, id == 4 && kind == 8:
			h.encoding = format.Encoding(r.i32(t))
		case id == 3 && kind == 5:
			h.levelsKind = format.Encoding(r.i32(t))
		case id == 4 && kind == 5:
			h.repsKind = format.Encoding(r.i32(t))
		case id == 5 && kind == 8:
			h.levels = int(r.int(t, 0, maxPage))
		case id == 6 && kind == 8:
			h.reps = int(r.int(t, 0, maxPage))
		case id == 7 && kind == 8:
			h.compressed = r.bool(t)
		default:
			return false
		}
		return true
	})
	if h.numValues < 0 {
		r.fail("page without a count of values")
	}
}

// splitPages cuts a chunk into its pages without decompressing any, so that
// what the pages claim to hold is known before memory is set aside for it.
func splitPages(b []byte, into []page) ([]page, error) {
	pages := into[:0]
	for len(b) > 0 {
		r := &compact{b: b}
		h := r.pageHeader()
		if r.err != nil {
			return nil, atPage(len(pages), fmt.Errorf("header: %w", r.err))
		}
		b = b[r.pos:]
		if err := h.check(len(b)); err != nil {
			return nil, atPage(len(pages), err)
		}
		h.body = b[:h.packed]
		b = b[h.packed:]
		if h.hasCRC && crc32.ChecksumIEEE(h.body) != h.crc {
			return nil, atPage(len(pages), errors.New("checksum does not fit the page"))
		}
		pages = append(pages, h.page)
	}
	return pages, nil
}

func (h *pageHeader) check(left int) error {
	switch {
	case h.packed < 0 || h.plain < 0:
		return errors.New("header without sizes")
	case h.packed > left:
		return fmt.Errorf("%d bytes claimed, %d left in the chunk", h.packed, left)
	case h.kind == format.IndexPage:
		return nil
	case h.kind != format.DataPage && h.kind != format.DataPageV2 && h.kind != format.DictionaryPage:
		return fmt.Errorf("page type %d", h.kind)
	case !h.hasDetail:
		return errors.New("header without a count of values")
	case h.kind == format.DataPageV2 && (h.reps+h.levels > h.packed || h.reps+h.levels > h.plain):
		return fmt.Errorf("levels of %d bytes in a page of %d", h.reps+h.levels, min(h.packed, h.plain))
	}
	return nil
}

// atPage says on which page of its chunk something went wrong.
func atPage(n int, err error) error { return fmt.Errorf("page %d: %w", n, err) }

// numRows adds up what the data pages claim to hold.
func numRows(pages []page) int64 {
	n := int64(0)
	for i := range pages {
		if pages[i].kind == format.DataPage || pages[i].kind == format.DataPageV2 {
			n += int64(pages[i].numValues)
		}
	}
	return n
}

// plainBytes adds up what the pages claim to take without compression.
func plainBytes(pages []page) int64 {
	n := int64(0)
	for i := range pages {
		n += int64(pages[i].plain)
	}
	return n
}
