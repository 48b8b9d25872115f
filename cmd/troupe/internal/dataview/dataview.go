// Package dataview looks at Parquet files for people: what columns they have and
// what their footers say, after a scan what values are in them, and the rows.
package dataview

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
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
	Footer   *Footer `json:"footer,omitempty"`
	Values   *Values `json:"values,omitempty"`
}

// Footer is what the statistics of all row groups say together; what one of
// them does not say is absent.
type Footer struct {
	Nulls *int64 `json:"nulls,omitempty"`
	Min   string `json:"min,omitempty"` // a bound of strings, which may be cut short
	Max   string `json:"max,omitempty"`
}

// Look reads the footers of the files that a path of a spec stands for and,
// when scan is set, every value of the columns, or of all if none are named.
// Files whose columns cannot stand together are of kind Invalid.
func Look(ctx context.Context, fs *files.Files, path string, columns []string, scan bool) (*View, error) {
	t, err := openTable(ctx, fs, path, columns)
	if err != nil {
		return nil, err
	}
	v := &View{
		Path: path, Files: len(t.names), Rows: t.rows, RowGroups: len(t.pieces), FileBytes: t.fileBytes, DecodedBytes: t.decoded,
		Unsupported: t.unsupported, Scanned: scan,
	}
	for i, f := range t.schema.Fields {
		v.Columns = append(v.Columns, Column{Name: f.Name, Type: typeName(f), Nullable: f.Nullable, Bytes: t.packed[f.Name], Footer: t.footer(i)})
	}
	if !scan {
		return v, nil
	}
	return v, v.scan(ctx, t)
}

func typeName(f data.Field) string {
	if f.Type == data.Timestamp && !f.UTC {
		return "timestamp (wall time)"
	}
	return f.Type.String()
}

// footer adds up the statistics of a column.
func (t *table) footer(i int) *Footer {
	f := t.schema.Fields[i]
	r, ok := t.ranges[f.Name]
	if !ok {
		return nil
	}
	out := &Footer{}
	if r.Nulls >= 0 {
		out.Nulls = &r.Nulls
	}
	if r.Bounded {
		out.Min, out.Max = valueText(f, r.Min), valueText(f, r.Max)
	}
	return out
}

// valueText writes a bound as its column has it.
func valueText(f data.Field, v data.Value) string {
	switch {
	case f.Type == data.Timestamp || f.Type == data.Date:
		return instant(f, v.Int())
	case v.Kind() == data.StringLiteral:
		return v.Text()
	case v.Kind() == data.FloatLiteral:
		return render.Number(v.Float()).String()
	}
	return v.String()
}

// scan reads every row group, several at a time. What it finds is the same for
// any order, since the summaries are.
func (v *View) scan(ctx context.Context, t *table) error {
	pieces := t.pieces
	workers := max(1, min(runtime.GOMAXPROCS(0), len(pieces)))
	sums := make([][]*summary, workers)
	var mu sync.Mutex
	next := func() (piece, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(pieces) == 0 || len(t.schema.Fields) == 0 {
			return piece{}, false
		}
		p := pieces[0]
		pieces = pieces[1:]
		return p, true
	}
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		sums[w] = newSummaries(t)
		group.Go(func() error {
			r := &reader{table: t}
			defer r.close()
			for p, ok := next(); ok; p, ok = next() {
				b, err := r.read(ctx, p)
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

// Rows calls fn with the rows of the columns, or of all if none are named, in
// order, until there were limit of them; a negative limit is none. The schema
// is that of all batches.
func Rows(ctx context.Context, fs *files.Files, path string, columns []string, limit int64, begin func(data.Schema) error, fn func(*data.Batch) error) error {
	t, err := openTable(ctx, fs, path, columns)
	if err != nil {
		return err
	}
	if len(t.schema.Fields) == 0 {
		return fault.New(fault.Invalid, "%s has no columns that can be read", path)
	}
	if err := begin(t.schema); err != nil {
		return err
	}
	r := &reader{table: t}
	defer r.close()
	for _, p := range t.pieces {
		if limit == 0 {
			return nil
		}
		b, err := r.read(ctx, p)
		if err != nil {
			return err
		}
		if limit > 0 {
			b = b.Head(int(min(limit, int64(b.NumRows))))
			limit -= int64(b.NumRows)
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// newSummaries returns one for each column.
func newSummaries(t *table) []*summary {
	out := make([]*summary, len(t.schema.Fields))
	for i, f := range t.schema.Fields {
		out[i] = newSummary(f, t.ranges[f.Name])
	}
	return slices.Clip(out)
}
