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
		if y.weighted {
			t.Weighted, t.W, all = true, all[:t.NumRows:t.NumRows], all[t.NumRows:]
		}
		out[part] = t
	}
	return out
}

// A table that is too large for memory has every row's target, and its weight,
// behind its features, so that a row is read at once.

// in returns the tables that lie in a file, of which rows are read one after the
// other. Neither they nor their order are in memory.
func (y *layout) in(f *os.File) map[split.Part]models.Table {
	out := map[split.Part]models.Table{}
	for i, part := range learned {
		s := &storedRows{file: f, width: y.width, numbers: y.numbers(), from: y.startOf(i)}
		out[part] = models.Table{NumRows: y.rows(i), NumFeatures: y.width, Weighted: y.weighted, Stored: s}
	}
	return out
}

// startOf returns where a part begins in the file.
func (y *layout) startOf(part int) (at int64) {
	for i := range part {
		at += 4 * int64(y.rows(i)) * int64(y.numbers())
	}
	return at
}

// roomsIn makes a room for each part in a file.
func (y *layout) roomsIn(f io.WriterAt) (rooms []*room) {
	for i, first := range y.first {
		at := region{f, y.startOf(i)}
		rooms = append(rooms, newRoom(first, y.width, func(from int, px, py, pw []float32) error {
			return y.putTogether(at, from, px, py, pw)
		}))
	}
	return rooms
}

// putTogether writes rows with their targets and weights, some at a time.
func (y *layout) putTogether(at region, from int, x, targets, weights []float32) error {
	const rows = 1024
	together := make([]float32, 0, min(rows, len(targets))*y.numbers())
	for first := 0; first < len(targets); first += rows {
		together = together[:0]
		for i := first; i < min(first+rows, len(targets)); i++ {
			together = append(append(together, x[i*y.width:(i+1)*y.width]...), targets[i])
			if y.weighted {
				together = append(together, weights[i])
			}
		}
		if err := at.put((from+first)*y.numbers(), together); err != nil {
			return err
		}
	}
	return nil
}

// storedRows are the rows of a part in a file.
type storedRows struct {
	file    io.ReaderAt
	width   int   // features
	numbers int   // of a row: features, target and maybe weight
	from    int64 // where they begin
	rooms   sync.Pool
}

// Read reads rows. Errors are of kind Unavailable.
func (s *storedRows) Read(first int, x, y, w []float32) error {
	n := max(len(y), len(x)/s.width, len(w))
	room, _ := s.rooms.Get().(*[]float32)
	if room == nil || cap(*room) < n*s.numbers {
		made := make([]float32, n*s.numbers)
		room = &made
	}
	defer s.rooms.Put(room)
	all := (*room)[:n*s.numbers]
	at := s.from + 4*int64(first)*int64(s.numbers)
	if _, err := s.file.ReadAt(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), 4*len(all)), at); err != nil {
		return fault.New(fault.Unavailable, "prepared table: row %d: %w", first, err)
	}
	for i := range n {
		row := all[i*s.numbers : (i+1)*s.numbers]
		if len(x) > 0 {
			copy(x[i*s.width:(i+1)*s.width], row)
		}
		if len(y) > 0 {
			y[i] = row[s.width]
		}
		if len(w) > 0 && s.numbers > s.width+1 {
			w[i] = row[s.width+1]
		}
	}
	return nil
}
