// Package dataview looks at Parquet files for people: what columns they have
// and, after a scan, what values are in them.
package dataview

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// View is what was seen.
type View struct {
	Path         string   `json:"path"`
	Files        int      `json:"files"`
	Rows         int64    `json:"rows"`
	RowGroups    int      `json:"row_groups"`
	FileBytes    int64    `json:"file_bytes"`
	DecodedBytes int64    `json:"decoded_bytes"`
	Columns      []Column `json:"columns"`
	Unsupported  []string `json:"unsupported,omitempty"` // columns that cannot be read, and why
	Scanned      bool     `json:"scanned"`
}

// Column is one column; what a scan finds is absent without one.
type Column struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Nullable bool    `json:"nullable"`
	Bytes    int64   `json:"compressed_bytes"`
	Values   *Values `json:"values,omitempty"`
}

// Look reads the footers of the files that a path of a spec stands for and,
// when scan is set, every value. Files whose columns differ are of kind Invalid.
func Look(ctx context.Context, fs *files.Files, path string, scan bool) (*View, error) {
	names, err := run.List(ctx, fs, path)
	if err != nil {
		return nil, err
	}
	v := &View{Path: path, Files: len(names), Scanned: scan}
	var all []*reading
	defer func() {
		for _, r := range all {
			_ = r.file.Close() // it was only read
		}
	}()
	for _, name := range names {
		r, err := open(ctx, fs, name)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
		if err := v.add(r, all[0]); err != nil {
			return nil, err
		}
	}
	if !scan {
		return v, nil
	}
	return v, v.scan(ctx, all)
}

// reading is one open file.
type reading struct {
	name string
	file files.File
	*parquet.File
}

func open(ctx context.Context, fs *files.Files, name string) (*reading, error) {
	f, err := fs.Open(ctx, name, "")
	if err != nil {
		return nil, err
	}
	p, err := parquet.Open(f, f.Size(), name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reading{name, f, p}, nil
}

// add takes what the footer of a file says; its columns must be those of first.
func (v *View) add(r, first *reading) error {
	if r == first {
		for _, f := range r.Schema().Fields {
			v.Columns = append(v.Columns, Column{Name: f.Name, Type: typeName(f), Nullable: f.Nullable})
		}
		for _, u := range r.Unsupported() {
			v.Unsupported = append(v.Unsupported, fmt.Sprintf("%s: %s", u.Name, u.Reason))
		}
	}
	fields := r.Schema().Fields
	if len(fields) != len(v.Columns) {
		return fault.New(fault.Invalid, "%s has %d columns, %s has %d: look at them one by one", first.name, len(v.Columns), r.name, len(fields))
	}
	for i, f := range fields {
		c := &v.Columns[i]
		if f.Name != c.Name || typeName(f) != c.Type {
			return fault.New(fault.Invalid, "column %d is %s (%s) in %s, and %s (%s) in %s: look at them one by one", i+1, c.Name, c.Type, first.name, f.Name, typeName(f), r.name)
		}
		c.Nullable = c.Nullable || f.Nullable
	}
	v.FileBytes += r.file.Size()
	v.Rows += r.NumRows()
	v.RowGroups += r.NumRowGroups()
	for g := range r.NumRowGroups() {
		size := r.RowGroup(g)
		v.DecodedBytes += size.DecodedBytes()
		for i, c := range size.Columns {
			v.Columns[i].Bytes += c.CompressedBytes
		}
	}
	return nil
}

func typeName(f data.Field) string {
	if f.Type == data.Timestamp && !f.UTC {
		return "timestamp (wall time)"
	}
	return f.Type.String()
}

// scan reads every row group, several at a time. What it finds is the same for
// any order, since the summaries are.
func (v *View) scan(ctx context.Context, all []*reading) error {
	var names []string
	for _, c := range v.Columns {
		names = append(names, c.Name)
	}
	type piece struct {
		file  *reading
		group int
	}
	var pieces []piece
	for _, r := range all {
		for g := range r.NumRowGroups() {
			pieces = append(pieces, piece{r, g})
		}
	}
	workers := max(1, min(runtime.GOMAXPROCS(0), len(pieces)))
	sums := make([][]*summary, workers)
	var mu sync.Mutex
	next := func() (piece, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(pieces) == 0 {
			return piece{}, false
		}
		p := pieces[0]
		pieces = pieces[1:]
		return p, true
	}
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		sums[w] = newSummaries(all[0].Schema())
		group.Go(func() error {
			for p, ok := next(); ok && len(names) > 0; p, ok = next() {
				b, err := p.file.ReadRowGroup(ctx, p.group, names)
				if err != nil {
					return err
				}
				for i, c := range b.Columns {
					sums[w][i].observe(c)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, other := range sums[1:] {
		for i, s := range sums[0] {
			s.merge(other[i])
		}
	}
	for i, s := range sums[0] {
		v.Columns[i].Values = s.values(v.Rows - s.nulls)
	}
	return nil
}

// newSummaries returns one for each column.
func newSummaries(s data.Schema) []*summary {
	out := make([]*summary, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = newSummary(f)
	}
	return slices.Clip(out)
}
