package run

import (
	"fmt"

	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/features"
)

// How much of a row group is read at a time. Row groups that take much more are
// read in pieces, so that the memory of a task does not depend on how they were
// written. Pieces depend on the data and the job alone, never on the memory that
// there is: they are the row groups of the output.
const (
	pieceBytes = 8 << 20
	// Pages of 65,536 rows are what Troupe writes, and pieces of whole pages are
	// decoded once only.
	pieceRows = 1 << 16
	// A page that is longer than a piece is decoded for each piece that has a part
	// of it. So pieces have so many rows, unless these take more than that.
	fewestRows = 1 << 12
	mostBytes  = 64 << 20
)

// Memory of a task besides what it reads at a time.
const (
	// What is read, what is made of it, and what is encoded of that, with what the
	// collector has not taken back yet.
	copiesOfPiece = 3
	taskBytes     = 8 << 20
	// A summary of a column of many values: 65,536 numbers, or texts.
	columnStateBytes = 1 << 20
	mostStateBytes   = 64 << 20
)

// cut divides so many rows, which take bytes in memory, into pieces.
func cut(rows, bytes int64) []parquet.RowSpan {
	if rows == 0 || bytes <= pieceBytes+pieceBytes/2 {
		return []parquet.RowSpan{{To: rows}}
	}
	perRow := max(bytes/rows, 1)
	count := max((bytes+pieceBytes/2)/pieceBytes, 1)
	count = min(count, max(rows/max(min(fewestRows, mostBytes/perRow), 64), 1))
	unit := int64(64)
	if rows/count >= pieceRows {
		unit = pieceRows
	}
	step := (rows/count + unit/2) / unit * unit
	step = max(step, unit)
	var out []parquet.RowSpan
	for from := int64(0); from < rows; from += step {
		if left := rows - from; left < step/4 && len(out) > 0 {
			out[len(out)-1].To = rows
			break
		}
		out = append(out, parquet.RowSpan{From: from, To: min(from+step, rows)})
	}
	return out
}

// pieces cuts a row group by what the named columns take, and by what is made of
// each row.
func (v *view) pieces(group int, columns []string, madePerRow int64) []parquet.RowSpan {
	rg := v.file.RowGroup(group)
	if v.file.Exploded() != "" {
		return []parquet.RowSpan{{To: rg.Rows}}
	}
	return cut(rg.Rows, max(v.decoded(rg, columns), rg.Rows*madePerRow))
}

// decoded is what columns of a row group, and those of the filter, take in
// memory.
func (v *view) decoded(rg parquet.RowGroup, columns []string) int64 {
	n := int64(0)
	for _, name := range v.stored(wanted(columns, v.filter)) {
		n += rg.Columns[v.file.Schema().Index(name)].DecodedBytes
	}
	return n
}

// taskBytes is the memory that a task may need to read pieces of a row group and
// to write what it makes of them.
func (v *view) taskBytes(group int, columns []string) int64 {
	rg := v.file.RowGroup(group)
	bytes := v.decoded(rg, columns)
	pieces := v.pieces(group, columns, 0)
	all, widest := int64(0), int64(0)
	for _, name := range v.stored(wanted(columns, v.filter)) {
		packed := rg.Columns[v.file.Schema().Index(name)].CompressedBytes
		all, widest = all+packed, max(widest, packed)
	}
	if len(pieces) == 1 {
		return copiesOfPiece*bytes + all + taskBytes
	}
	most := int64(0)
	for _, p := range pieces {
		most = max(most, p.To-p.From)
	}
	// The pages of a piece, with those that begin before it or end after it.
	fetched := min(widest, 3*(widest/rg.Rows+1)*most)
	return copiesOfPiece*(bytes/rg.Rows+1)*most + fetched + taskBytes
}

// demand adds to the facts what memory the job's tasks may need to read columns of
// a dataset that has just been looked at, and in which they tell values apart.
func (d *Dataset) demand(facts *plan.Facts, columns []string, counts [][]features.CountedInput) {
	for _, l := range d.looks {
		v := view{file: l.file, schema: d.Schema, folder: l.DataFile, filter: d.filter}
		for g := range l.file.NumRowGroups() {
			if l.file.RowGroup(g).Rows == 0 || !v.mayMatch(g) {
				continue
			}
			if n := v.taskBytes(g, columns); n > facts.TaskBytes {
				facts.TaskBytes = n
				facts.Largest = fmt.Sprintf("%s: row group %d, whose columns that are read take %d bytes", l.Path, g, v.decoded(l.file.RowGroup(g), columns))
			}
		}
	}
	facts.CountedBytes = d.countedBytes(counts)
	d.looks = nil
	facts.StateBytes = max(facts.StateBytes, min(int64(len(columns))*columnStateBytes, mostStateBytes))
}
