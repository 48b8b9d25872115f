package run

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Dataset is the files of one input as the survey has found them: what is read,
// and how it is cut into shards. It is a function of the files' bytes and names.
type Dataset struct {
	Path     string        `json:"path"`   // as the spec has it
	Digest   string        `json:"digest"` // of the files' contents, in order
	Schema   data.Schema   `json:"schema"`
	Features []string      `json:"features,omitempty"` // of the output of a features job: its features
	Files    []DataFile    `json:"files"`
	Shards   []split.Shard `json:"shards"`
	Rows     int64         `json:"rows"`
	Bytes    int64         `json:"bytes"` // decoded
}

// DataFile is one file of a dataset.
type DataFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`
}

// openDataset looks at the files of a path: their footers, and a digest of all
// their bytes.
func openDataset(ctx context.Context, path string) (*Dataset, error) {
	files, err := List(path)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Path: path}
	var cut []split.File
	all := xxh3.New()
	for i, name := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, groups, err := d.look(name, i)
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
	if m, err := ReadManifest(path); err == nil {
		d.Features = m.Features
	}
	return d, nil
}

// look reads one file's footer and bytes, and adds it to the dataset's sums.
func (d *Dataset) look(name string, at int) (DataFile, []split.Group, error) {
	f, size, err := openFile(name)
	if err != nil {
		return DataFile{}, nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	pf, err := parquet.Open(f, size, name)
	if err != nil {
		return DataFile{}, nil, err
	}
	if err := d.unify(pf, name, at); err != nil {
		return DataFile{}, nil, err
	}
	var groups []split.Group
	for g := range pf.NumRowGroups() {
		rg := pf.RowGroup(g)
		groups = append(groups, split.Group{Rows: rg.Rows, Bytes: rg.DecodedBytes()})
		d.Rows += rg.Rows
		d.Bytes += rg.DecodedBytes()
	}
	h := xxh3.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return DataFile{}, nil, diskFault(fmt.Errorf("read %s: %w", name, err))
	}
	sum := h.Sum128().Bytes()
	return DataFile{Path: name, Bytes: size, Digest: "xxh3:" + hex.EncodeToString(sum[:])}, groups, nil
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

func openFile(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, diskFault(fmt.Errorf("input: %w", err))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(diskFault(err), f.Close())
	}
	return f, info.Size(), nil
}

// readShard calls fn with the row groups of a shard, in order, holding the named
// columns (all if none are named), and with the number of each one's first row.
func (d *Dataset) readShard(ctx context.Context, shard int, columns []string, fn func(b *data.Batch, firstRow int64) error) error {
	s := d.Shards[shard]
	row := s.FirstRow
	for _, r := range s.Ranges {
		err := d.readRange(ctx, r, columns, func(b *data.Batch) error {
			err := fn(b, row)
			row += int64(b.NumRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataset) readRange(ctx context.Context, r split.Range, columns []string, fn func(b *data.Batch) error) error {
	file := d.Files[r.File]
	f, size, err := openFile(file.Path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	if size != file.Bytes {
		return fault.New(fault.Conflict, "input %s: has %d bytes, had %d when the job began: it must not change while the job runs", file.Path, size, file.Bytes)
	}
	pf, err := parquet.Open(f, size, file.Path)
	if err != nil {
		return err
	}
	b, _ := batches.Get().(*data.Batch)
	for g := r.First; g < r.First+r.Count; g++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if b, err = pf.Read(ctx, g, parquet.ReadOptions{Columns: columns, Into: b}); err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return fmt.Errorf("%s: row group %d: %w", file.Path, g, err)
		}
	}
	batches.Put(b)
	return nil
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
