package split

import "math/bits"

// The least and the most bytes that Target returns, and how many shards a table
// between the two is cut into.
const (
	minTarget = 4 << 20
	maxTarget = 128 << 20
	numShards = 64
)

// File is one file of a table, as far as its division is concerned.
type File struct {
	Path   string
	Groups []Group // in the order of the file
}

// Group is the size of one row group.
type Group struct {
	Rows  int64
	Bytes int64 // decoded
}

// Range is a run of row groups of one file.
type Range struct {
	File  int `json:"file"`  // place among the files
	First int `json:"first"` // row group
	Count int `json:"count"`
}

// Shard is a run of row groups of a table: the unit of work, and of output.
type Shard struct {
	Ranges   []Range `json:"ranges"`
	FirstRow int64   `json:"first_row"` // number of its first row in the table
	Rows     int64   `json:"rows"`      // at least 1
	Bytes    int64   `json:"bytes"`     // decoded
}

// Target returns how many decoded bytes a shard of a table should have: a 64th
// of the table, but no less than 4 MiB and no more than 128 MiB. It depends on
// the data alone, never on who is there to work on it.
func Target(totalBytes int64) int64 {
	return min(max(totalBytes/numShards, minTarget), maxTarget)
}

// Shards divides the files' row groups, in order, into runs of about target
// decoded bytes each, which must be positive. Row groups are never cut, and
// those without rows are left out; a shard may span files. All shards are as
// even as whole row groups allow, and none has less than a quarter of the
// target unless it is the only one. A table without rows has no shards.
func Shards(files []File, target int64) []Shard {
	if target <= 0 {
		panic("split: the target size of a shard must be positive")
	}
	total := int64(0)
	for _, f := range files {
		for _, g := range f.Groups {
			total += weight(g)
		}
	}
	count := max(1, (total+target/2)/target)
	var shards []Shard
	row, before, last := int64(0), int64(0), int64(-1)
	for i, f := range files {
		for k, g := range f.Groups {
			if g.Rows <= 0 {
				continue
			}
			// A group goes where its middle lies among count equal parts.
			if at := scale(before+weight(g)/2, count, total); at != last {
				shards = append(shards, Shard{FirstRow: row})
				last = at
			}
			shards[len(shards)-1].add(i, k, g)
			row, before = row+g.Rows, before+weight(g)
		}
	}
	return joinSmall(shards, target/4)
}

// weight is what a group counts when sizes are compared: a group with rows
// counts something.
func weight(g Group) int64 {
	if g.Rows <= 0 {
		return 0
	}
	return max(g.Bytes, 1)
}

// scale returns v * count / total for v < total, without overflow.
func scale(v, count, total int64) int64 {
	hi, lo := bits.Mul64(uint64(v), uint64(count))
	q, _ := bits.Div64(hi, lo, uint64(total))
	return int64(q)
}

func (s *Shard) add(file, group int, g Group) {
	s.Rows += g.Rows
	s.Bytes += g.Bytes
	if n := len(s.Ranges); n > 0 {
		if r := &s.Ranges[n-1]; r.File == file && r.First+r.Count == group {
			r.Count++
			return
		}
	}
	s.Ranges = append(s.Ranges, Range{File: file, First: group, Count: 1})
}

// joinSmall gives shards below least bytes to the one before them, or the first
// to the one after it.
func joinSmall(shards []Shard, least int64) []Shard {
	var out []Shard
	for _, s := range shards {
		n := len(out)
		if n > 0 && (s.Bytes < least || n == 1 && out[0].Bytes < least) {
			out[n-1].join(s)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// join adds the shard that follows s.
func (s *Shard) join(next Shard) {
	s.Rows += next.Rows
	s.Bytes += next.Bytes
	last, first := &s.Ranges[len(s.Ranges)-1], next.Ranges[0]
	if last.File == first.File && last.First+last.Count == first.First {
		last.Count += first.Count
		next.Ranges = next.Ranges[1:]
	}
	s.Ranges = append(s.Ranges, next.Ranges...)
}
