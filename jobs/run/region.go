package run

import (
	"io"
	"os"
	"sync"
	"unsafe"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// region is a place in a file, after so many bytes.
type region struct {
	f    io.WriterAt
	from int64
}

func (r region) put(at int, v []float32) error {
	if len(v) == 0 {
		return nil
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
	_, err := r.f.WriteAt(b, r.from+4*int64(at))
	return noCache(err)
}

// over returns the tables that lie in b, in the byte order of this machine.
func (y *layout) over(b []byte) map[split.Part]models.Table {
	all := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	out := map[split.Part]models.Table{}
	for i, part := range learned {
		t := models.Table{NumRows: y.rows(i), NumFeatures: y.width}
		n := t.NumRows * t.NumFeatures
		t.X, t.Y, all = all[:n:n], all[n:n+t.NumRows:n+t.NumRows], all[n+t.NumRows:]
		out[part] = t
	}
	return out
}

// A table that is too large for memory has every row's target behind its
// features, so that a row is read at once.

// in returns the tables that lie in a file, of which rows are read one after the
// other. Neither they nor their order are in memory.
func (y *layout) in(f *os.File) map[split.Part]models.Table {
	out := map[split.Part]models.Table{}
	for i, part := range learned {
		s := &storedRows{file: f, width: y.width, from: y.startOf(i)}
		out[part] = models.Table{NumRows: y.rows(i), NumFeatures: y.width, Stored: s}
	}
	return out
}

// startOf returns where a part begins in the file.
func (y *layout) startOf(part int) (at int64) {
	for i := range part {
		at += 4 * int64(y.rows(i)) * int64(y.width+1)
	}
	return at
}

// roomsIn makes a room for each part in a file.
func (y *layout) roomsIn(f io.WriterAt) (rooms []*room) {
	for i, first := range y.first {
		at := region{f, y.startOf(i)}
		rooms = append(rooms, newRoom(first, y.width, func(from int, px, py []float32) error {
			return putTogether(at, from, y.width, px, py)
		}))
	}
	return rooms
}

// putTogether writes rows and their targets, some at a time.
func putTogether(at region, from, width int, x, y []float32) error {
	const rows = 1024
	both := make([]float32, 0, min(rows, len(y))*(width+1))
	for len(y) > 0 {
		both = both[:0]
		n := min(rows, len(y))
		for i, target := range y[:n] {
			both = append(append(both, x[i*width:(i+1)*width]...), target)
		}
		if err := at.put(from*(width+1), both); err != nil {
			return err
		}
		from, x, y = from+n, x[n*width:], y[n:]
	}
	return nil
}

// storedRows are the rows of a part in a file.
type storedRows struct {
	file  io.ReaderAt
	width int
	from  int64 // where they begin
	rooms sync.Pool
}

// Read reads rows. Errors are of kind Unavailable.
func (s *storedRows) Read(first int, x, y []float32) error {
	n := max(len(y), len(x)/s.width)
	room, _ := s.rooms.Get().(*[]float32)
	if room == nil || cap(*room) < n*(s.width+1) {
		made := make([]float32, n*(s.width+1))
		room = &made
	}
	defer s.rooms.Put(room)
	both := (*room)[:n*(s.width+1)]
	at := s.from + 4*int64(first)*int64(s.width+1)
	if _, err := s.file.ReadAt(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(both))), 4*len(both)), at); err != nil {
		return fault.New(fault.Unavailable, "prepared table: row %d: %w", first, err)
	}
	for i := range n {
		row := both[i*(s.width+1) : (i+1)*(s.width+1)]
		if len(x) > 0 {
			copy(x[i*s.width:(i+1)*s.width], row)
		}
		if len(y) > 0 {
			y[i] = row[s.width]
		}
	}
	return nil
}
