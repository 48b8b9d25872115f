package run

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// Dataset is the files of one input as the survey has found them: what is read,
// and how it is cut into shards. It is a function of the files' bytes and names.
type Dataset struct {
	Path     string        `json:"path"`            // as the spec has it
	Where    string        `json:"where,omitempty"` // the condition on its rows
	Digest   string        `json:"digest"`          // of the files' contents, in order
	Schema   data.Schema   `json:"schema"`
	Features []string      `json:"features,omitempty"` // of the output of a features job: its features
	Files    []DataFile    `json:"files"`
	Shards   []split.Shard `json:"shards"`
	Rows     int64         `json:"rows"`             // with those that Where leaves out
	Bytes    int64         `json:"bytes"`            // decoded
	Pruned   int64         `json:"pruned,omitempty"` // of Rows, in row groups whose statistics say that Where is true of none

	// TotalBytes is what all columns of all row groups take in the files, and
	// ReadBytes what those take that a job reads; both are for Preview only.
	TotalBytes int64 `json:"-"`
	ReadBytes  int64 `json:"-"`

	files  *files.Files     // opens the files
	filter *data.Filter     // Where, while the files are looked at
	stored map[string]int64 // by column, what row groups that are read take in the files
}

// DataFile is one file of a dataset.
type DataFile struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Digest  string `json:"digest"`
	Version string `json:"version,omitempty"` // of an object: its ETag, which must stay
}

// openDataset looks at the files of a path: their footers, and a digest of all
// their bytes. Only rows count for which where is true; nil is true of all.
func openDataset(ctx context.Context, fs *files.Files, path string, where *data.Predicate) (*Dataset, error) {
	names, err := List(ctx, fs, path)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Path: path, files: fs}
	var cut []split.File
	all := xxh3.New()
	for i, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, groups, err := d.look(ctx, name, i, where)
		if err != nil {
			return nil, err
		}
		d.Files = append(d.Files, f)
		cut = append(cut, split.File{Path: name, Groups: groups})
		_, _ = all.WriteString(f.Digest) //nolint:errcheck // a hash takes everything
	}
	sum := all.Sum128().Bytes()
	d.Digest = "xxh3:" + hex.EncodeToString(sum[:])
	d.Shards = split.Shards(cut, split.Target(d.Bytes))
	if m, err := ReadManifest(ctx, fs, path); err == nil {
		d.Features = m.Features
	}
	return d, nil
}

// look reads one file's footer and bytes, and adds it to the dataset's sums.
func (d *Dataset) look(ctx context.Context, name string, at int, where *data.Predicate) (DataFile, []split.Group, error) {
	f, err := d.files.Open(ctx, name, "")
	if err != nil {
		return DataFile{}, nil, fmt.Errorf("input: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	pf, err := parquet.Open(f, f.Size(), name)
	if err != nil {
		return DataFile{}, nil, err
	}
	if err := d.unify(pf, name, at); err != nil {
		return DataFile{}, nil, err
	}
	if at == 0 {
		if err := d.restrict(where); err != nil {
			return DataFile{}, nil, err
		}
	}
	var groups []split.Group
	for g := range pf.NumRowGroups() {
		rg := pf.RowGroup(g)
		d.Rows += rg.Rows
		may := mayMatch(pf, g, d.filter)
		d.measure(pf.Schema(), rg, may)
		if !may {
			d.Pruned += rg.Rows
			groups = append(groups, split.Group{Rows: rg.Rows}) // nothing of it is read
			continue
		}
		groups = append(groups, split.Group{Rows: rg.Rows, Bytes: rg.DecodedBytes()})
		d.Bytes += rg.DecodedBytes()
	}
	digest, err := digestOfInput(f)
	if err != nil {
		return DataFile{}, nil, files.DiskFault(fmt.Errorf("read %s: %w", name, err))
	}
	return DataFile{Path: name, Bytes: f.Size(), Digest: digest, Version: f.Version()}, groups, nil
}

// unify adds a file's columns to the schema: all files must have the same,
// though some may have nulls where others have none.
func (d *Dataset) unify(f *parquet.File, name string, at int) error {
	if at == 0 {
		d.Schema = f.Schema()
		d.Schema.Fields = append([]data.Field(nil), d.Schema.Fields...)
		return nil
	}
	first := d.Files[0].Path
	for i, field := range f.Schema().Fields {
		k := d.Schema.Index(field.Name)
		if k < 0 {
			return fault.New(fault.Invalid, "input %s: %s has a column %q that %s has not: files of one dataset must have the same columns", d.Path, name, field.Name, first)
		}
		have := &d.Schema.Fields[k]
		if have.Type != field.Type || have.UTC != field.UTC {
			return fault.New(fault.Invalid, "input %s: column %q is %v in %s and %v in %s: write both files with one type", d.Path, field.Name, have.Type, first, field.Type, name)
		}
		have.Nullable = have.Nullable || field.Nullable
		_ = i
	}
	for _, field := range d.Schema.Fields {
		if f.Schema().Index(field.Name) < 0 {
			return fault.New(fault.Invalid, "input %s: %s lacks the column %q that %s has: files of one dataset must have the same columns", d.Path, name, field.Name, first)
		}
	}
	return nil
}

// digestOfInput reads all bytes of a file.
func digestOfInput(f files.File) (string, error) {
	announceAll(f)
	h := xxh3.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	sum := h.Sum128().Bytes()
	return "xxh3:" + hex.EncodeToString(sum[:]), nil
}

// readShard calls fn with the row groups of a shard, in order, holding the named
// columns (all if none are named) of the rows that count, and with their
// numbers. Row groups without such rows are passed over.
func (d *Dataset) readShard(ctx context.Context, shard int, columns []string, fn func(b *data.Batch, at rowNumbers) error) error {
	filter, err := d.rows()
	if err != nil {
		return err
	}
	s := d.Shards[shard]
	row := s.FirstRow
	for _, r := range s.Ranges {
		row, err = d.readRange(ctx, r, columns, filter, row, func(b *data.Batch, at rowNumbers) error {
			if b.NumRows == 0 && filter != nil {
				return nil
			}
			return fn(b, at)
		})
		if err != nil {
			return err
		}
	}
	if row != s.FirstRow+s.Rows {
		return fault.New(fault.Conflict, "input %s: shard %d has %d rows, had %d when the job began: it must not change while the job runs", d.Path, shard, row-s.FirstRow, s.Rows)
	}
	return nil
}

// readRange reads row groups of one file, of which the first begins with a row's
// number, and returns the number of the row that follows them.
func (d *Dataset) readRange(ctx context.Context, r split.Range, columns []string, filter *data.Filter, row int64, fn func(b *data.Batch, at rowNumbers) error) (int64, error) {
	file := d.Files[r.File]
	f, err := d.files.Open(ctx, file.Path, file.Version)
	if err != nil {
		return 0, fmt.Errorf("input: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	size := f.Size()
	if size != file.Bytes {
		return 0, fault.New(fault.Conflict, "input %s: has %d bytes, had %d when the job began: it must not change while the job runs", file.Path, size, file.Bytes)
	}
	pf, err := parquet.Open(f, size, file.Path)
	if err != nil {
		return 0, err
	}
	if err := announce(f, pf, r, wanted(columns, filter), filter); err != nil {
		return 0, err
	}
	b, _ := batches.Get().(*data.Batch)
	for g := r.First; g < r.First+r.Count; g++ {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if !mayMatch(pf, g, filter) {
			row += pf.RowGroup(g).Rows
			continue
		}
		if b, err = pf.Read(ctx, g, parquet.ReadOptions{Columns: wanted(columns, filter), Into: b}); err != nil {
			return 0, err
		}
		rows, at, err := pick(b, filter, columns, row)
		if err == nil {
			err = fn(rows, at)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: row group %d: %w", file.Path, g, err)
		}
		row += int64(b.NumRows)
	}
	batches.Put(b)
	return row, nil
}

// batches are those that nobody looks at any more, for their memory.
var batches sync.Pool

// need checks that the dataset has every named column.
func (d *Dataset) need(what string, names ...string) error {
	for _, n := range names {
		if d.Schema.Index(n) < 0 {
			return fault.New(fault.Invalid, "%s: input %s has no column %q; it has %s", what, filepath.Base(d.Path), n, listed(d.Schema.Names()))
		}
	}
	return nil
}

// listed names at most twenty things.
func listed(names []string) string {
	const most = 20
	b, err := json.Marshal(names[:min(len(names), most)])
	if err != nil {
		return err.Error()
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", b, len(names)-most)
	}
	return string(b)
}
