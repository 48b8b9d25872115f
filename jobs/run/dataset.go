package run

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/store"
)

// Dataset is the files of one input as the survey has found them: what is read,
// and how it is cut into shards. It is a function of the files' bytes and names.
type Dataset struct {
	Path     string        `json:"path"`              // as the spec has it
	Where    string        `json:"where,omitempty"`   // the condition on its rows
	Explode  string        `json:"explode,omitempty"` // the list whose elements are the rows
	Digest   string        `json:"digest"`            // of the files' contents, in order
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

	files    *files.Files // opens the files
	footers  *footers     // of files that other tasks have opened; nil: none
	maxBytes int64        // memory that what is read at a time may take at most; 0: not said
	looks    []look       // of the files, until it is known which columns are read
	windows  *attached    // columns that are computed on the way; nil: none

	known  store.Refs       // remembers digests of objects, if it is set
	filter *data.Filter     // Where, while the files are looked at
	stored map[string]int64 // by column, what row groups that are read take in the files
}

// DataFile is one file of a dataset.
type DataFile struct {
	Path    string   `json:"path"`
	Bytes   int64    `json:"bytes"`
	Digest  string   `json:"digest"`
	Version string   `json:"version,omitempty"` // of an object: its ETag, which must stay
	Keys    []string `json:"keys,omitempty"`    // of key=value folders
	Values  []string `json:"values,omitempty"`
}

// open looks at the files of the path: their footers, and a digest of all their
// bytes. Only rows count for which where is true; nil is true of all.
func (d *Dataset) open(ctx context.Context, where *data.Predicate) (*Dataset, error) {
	names, err := List(ctx, d.files, d.Path)
	if err != nil {
		return nil, err
	}
	looks, err := d.lookAll(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := d.unify(looks); err != nil {
		return nil, err
	}
	if err := d.restrict(where); err != nil {
		return nil, err
	}
	var cut []split.File
	all := xxh3.New()
	for _, l := range looks {
		d.Files = append(d.Files, l.DataFile)
		cut = append(cut, split.File{Path: l.Path, Groups: d.groups(l)})
		_, _ = all.WriteString(l.Digest) //nolint:errcheck // a hash takes everything
		for i, k := range l.Keys {
			_, _ = all.WriteString(k + "=" + l.Values[i] + "/") //nolint:errcheck // a hash takes everything
		}
	}
	d.looks = looks
	sum := all.Sum128().Bytes()
	d.Digest = "xxh3:" + hex.EncodeToString(sum[:])
	d.Shards = split.Shards(cut, split.Target(d.Bytes))
	if m, err := ReadManifest(ctx, d.files, d.Path); err == nil {
		d.Features = m.Features
	}
	return d, nil
}

// lookAll looks at files, several at a time; of several errors it returns that
// of the first file.
func (d *Dataset) lookAll(ctx context.Context, names []string) ([]look, error) {
	const atATime = 4
	looks, errs := make([]look, len(names)), make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(atATime)
	for i, name := range names {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			looks[i], errs[i] = d.look(ctx, name)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return looks, nil
}

// look reads one file's footer and bytes.
func (d *Dataset) look(ctx context.Context, name string) (look, error) {
	f, err := d.files.Open(ctx, name, "")
	if err != nil {
		return look{}, fmt.Errorf("input: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	pf, err := parquet.Open(f, f.Size(), name)
	if err == nil {
		err = pf.SettleUnsigned(ctx)
	}
	if err == nil {
		pf, err = d.rowsIn(pf)
	}
	if err != nil {
		return look{}, err
	}
	digest, err := d.digest(ctx, f, name)
	if err != nil {
		return look{}, files.DiskFault(fmt.Errorf("read %s: %w", name, err))
	}
	l := look{DataFile: DataFile{Path: name, Bytes: f.Size(), Digest: digest, Version: f.Version()}, file: pf}
	if l.Keys, l.Values, err = partitionKeys(below(d.Path, name)); err != nil {
		return look{}, fmt.Errorf("input %s: %w", d.Path, err)
	}
	return l, nil
}

// parquet opens a file, as the rows that the dataset is of. Unsigned numbers are
// read as the survey has settled for all files together.
func (d *Dataset) parquet(f files.File, name string) (*parquet.File, error) {
	pf, err := d.footers.open(f, name, d.maxBytes)
	if err != nil {
		return nil, err
	}
	if pf, err = d.rowsIn(pf); err != nil {
		return nil, err
	}
	var texts []string
	for _, f := range d.Schema.Fields {
		if f.Type == data.String {
			texts = append(texts, f.Name)
		}
	}
	pf.ReadDigits(texts)
	return pf, nil
}

// rowsIn makes a row of each element of the list that becomes rows, if one does.
func (d *Dataset) rowsIn(pf *parquet.File) (*parquet.File, error) {
	if d.Explode == "" {
		return pf, nil
	}
	return pf.Explode(d.Explode)
}

// groups returns the sizes of a file's row groups, and adds them to the
// dataset's.
func (d *Dataset) groups(l look) []split.Group {
	v := view{file: l.file, schema: d.Schema, folder: l.DataFile, filter: d.filter}
	out := make([]split.Group, l.file.NumRowGroups())
	for g := range out {
		rg := l.file.RowGroup(g)
		may := v.mayMatch(g)
		d.measure(l.file.Schema(), rg, may)
		d.Rows += rg.Rows
		out[g].Rows = rg.Rows
		if !may { // nothing of it is read
			d.Pruned += rg.Rows
			continue
		}
		out[g].Bytes = rg.DecodedBytes()
		d.Bytes += out[g].Bytes
	}
	return out
}

// readShard calls fn with the row groups of a shard, in order, holding the named
// columns (all if none are named) of the rows that count, and with their
// numbers. Row groups without such rows are passed over.
func (d *Dataset) readShard(ctx context.Context, shard int, columns []string, fn func(b *data.Batch, at rowNumbers) error) error {
	return d.readPieces(ctx, shard, columns, 0, fn)
}

// readPieces is readShard for a caller that makes so many bytes of each row: row
// groups that take much memory, or of which much is made, come in pieces.
func (d *Dataset) readPieces(ctx context.Context, shard int, columns []string, madePerRow int64, fn func(b *data.Batch, at rowNumbers) error) error {
	filter, err := d.rows()
	if err != nil {
		return err
	}
	s := d.Shards[shard]
	row := s.FirstRow
	wanted := columns
	columns, rest := d.divide(wanted)
	var windows *windowReader
	if rest {
		if windows, err = d.windows.open(shard); err != nil {
			return err
		}
	}
	for _, r := range s.Ranges {
		row, err = d.readRange(ctx, r, columns, filter, madePerRow, row, func(b *data.Batch, at rowNumbers) error {
			if b.NumRows == 0 && filter != nil {
				return nil
			}
			if windows != nil {
				var err error
				if b, err = windows.with(b, wanted); err != nil {
					return err
				}
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
func (d *Dataset) readRange(ctx context.Context, r split.Range, columns []string, filter *data.Filter, madePerRow, row int64, fn func(b *data.Batch, at rowNumbers) error) (int64, error) {
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
	pf, err := d.parquet(f, file.Path)
	if err != nil {
		return 0, err
	}
	v := &view{file: pf, schema: d.Schema, folder: file, filter: filter, maxBytes: d.maxBytes}
	if err := v.announce(f, r, columns); err != nil {
		return 0, err
	}
	spare, _ := batches.Get().(*data.Batch)
	for g := r.First; g < r.First+r.Count; g++ {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if v.mayMatch(g) {
			if spare, err = v.readGroup(ctx, g, columns, madePerRow, row, spare, fn); err != nil {
				return 0, err
			}
		}
		row += pf.RowGroup(g).Rows
	}
	batches.Put(spare)
	return row, nil
}

// readGroup calls fn with the pieces of a row group that begins with a row's
// number, in the memory of a batch that nobody looks at any more, and returns
// such a batch.
func (v *view) readGroup(ctx context.Context, g int, columns []string, madePerRow, row int64, spare *data.Batch, fn func(b *data.Batch, at rowNumbers) error) (*data.Batch, error) {
	for _, piece := range v.pieces(g, columns, madePerRow) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rows, kept, used, err := v.read(ctx, g, piece, columns, spare)
		if err != nil {
			return nil, err
		}
		spare = used
		if err := fn(rows, rowNumbers{first: row + piece.From, count: int(piece.To - piece.From), kept: kept}); err != nil {
			return nil, fmt.Errorf("%s: row group %d: %w", v.folder.Path, g, err)
		}
	}
	return spare, nil
}

// batches are those that nobody looks at any more, for their memory.
var batches sync.Pool

// need checks that the dataset has every named column.
func (d *Dataset) need(what string, names ...string) error {
	for _, n := range names {
		if d.Schema.Index(n) < 0 {
			hint := spec.Suggest(n, d.Schema.Names())
			return fault.New(fault.Invalid, "%s: input %s has no column %q; %s", what, filepath.Base(d.Path), n, strings.TrimPrefix(hint+" it has "+listed(d.Schema.Names()), " "))
		}
	}
	return nil
}

// listed names at most twenty things.
func listed(names []string) string {
	const most = 20
	var quoted []string
	for _, n := range names[:min(len(names), most)] {
		quoted = append(quoted, strconv.Quote(n))
	}
	list := "[" + strings.Join(quoted, ",") + "]"
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", list, len(names)-most)
	}
	return list
}
