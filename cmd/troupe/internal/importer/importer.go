// Package importer turns files of CSV, NDJSON and Arrow into an output folder of
// Parquet: it finds the types of the columns, reads with all processors, keeps
// the order of the rows, and writes down every line that is no row.
//
// The bytes of the output depend on those of the input and on the settings, but
// not on the number of threads. Memory is bounded by a few chunks a thread,
// whatever the size of the files.
package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// Config is what to import, and how.
type Config struct {
	Files []string // paths and globs, in order; "-" is Stdin
	Out   string   // the folder to write; empty: look at the types alone
	Stdin io.Reader
	Store *files.Files // writes Out; nil: to disks only

	Format    string            // csv, ndjson or arrow; empty: what the files' names say
	Delimiter string            // of CSV; empty: found in the sample
	NoHeader  bool              // the first line of CSV is a row
	Types     map[string]string // by column, instead of what the sample says
	Nulls     []string          // spellings of null beside the empty field
	MaxRecord int               // the longest line in bytes

	// MaxRejected is how many lines may be rejected before the import fails: a
	// number, or a share such as 1%; empty: any, but not all of them.
	MaxRejected string

	RowsPerGroup int    // of a row group
	RowsPerFile  int64  // of a part; a multiple of RowsPerGroup is best
	Threads      int    // it does not change the output
	Memory       int64  // bytes that record batches of Arrow may take; 0: 4 GiB
	Code         string // version of the program, for the manifest
	// Told is called with the columns before any row is read.
	Told func([]Column)
}

// DefaultConfig returns row groups of 131,072 rows, 64 of them a part, lines of
// up to 16 MiB, and the usual spellings of null.
func DefaultConfig() Config {
	return Config{Nulls: text.DefaultNulls(), MaxRecord: 16 << 20, RowsPerGroup: 131_072, RowsPerFile: 64 * 131_072, Threads: 1}
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fault.New(fault.Invalid, format, args...)) }
	if len(c.Files) == 0 {
		add("import: name the files to read, or - for standard input")
	}
	if c.Delimiter != "" && (len(c.Delimiter) != 1 || strings.ContainsAny(c.Delimiter, "\"\r\n") || c.Delimiter[0] >= 0x80) {
		add("--delimiter %q: expected one character, such as ; or \\t", c.Delimiter)
	}
	if c.MaxRecord < 64 || c.MaxRecord > 1<<30 {
		add("--max-line %d: expected 64 bytes to 1 GiB", c.MaxRecord)
	}
	if c.RowsPerGroup < 1 || c.RowsPerGroup > 1<<24 {
		add("--rows-per-group %d: expected 1 to %d", c.RowsPerGroup, 1<<24)
	}
	if c.RowsPerFile < int64(c.RowsPerGroup) {
		add("--rows-per-file %d: expected at least the %d rows of a group", c.RowsPerFile, c.RowsPerGroup)
	}
	if c.Threads < 1 || c.Threads > 1024 {
		add("--threads %d: expected 1 to 1024", c.Threads)
	}
	if _, _, err := c.limit(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil
	}
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// limit reads MaxRejected: a number of lines, or a share of all; -1 is none.
func (c Config) limit() (lines int64, share float64, err error) {
	if c.MaxRejected == "" {
		return -1, -1, nil
	}
	if p, ok := strings.CutSuffix(c.MaxRejected, "%"); ok {
		if share, err = strconv.ParseFloat(p, 64); err == nil && share >= 0 && share <= 100 {
			return -1, share / 100, nil
		}
	} else if lines, err = strconv.ParseInt(c.MaxRejected, 10, 64); err == nil && lines >= 0 {
		return lines, -1, nil
	}
	return 0, 0, fault.New(fault.Invalid, "--max-rejected %s: expected a number of lines or a share such as 1%%", c.MaxRejected)
}

// ErrTooMany is why an import failed whose lines were rejected beyond MaxRejected.
var ErrTooMany = errors.New("--max-rejected")

// Column is one column of the output.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Note string `json:"note,omitempty"`
}

// Result is what was done.
type Result struct {
	Kind         string   `json:"kind"` // import
	Status       string   `json:"status"`
	Digest       string   `json:"digest,omitempty"`
	RowsIn       int64    `json:"rows_in"`
	RowsOut      int64    `json:"rows_out"`
	RowsRejected int64    `json:"rows_rejected"`
	Format       string   `json:"format"`
	Files        []string `json:"files"`
	Parts        int      `json:"parts"`
	Bytes        int64    `json:"bytes"` // of the parts
	Seconds      float64  `json:"seconds"`
	Output       string   `json:"output,omitempty"`
	Rejected     string   `json:"rejected,omitempty"` // the file of the rejected lines
	Columns      []Column `json:"columns"`
}

// plan is how the files of one format are read: found from samples, the same for
// all files.
type plan interface {
	formats() []text.Format
	// open begins to read a file. Each task that next returns may be run in any
	// goroutine; io.EOF is the end.
	open(r io.Reader, name string) (stream, error)
	// settings are what shapes the rows, beside the columns.
	settings() string
}

type stream interface {
	next() (func() (*data.Batch, []text.Reject, error), error)
}

// Run imports the files. What is wrong with them is of kind Invalid or Corrupt
// and names the file.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	sources, err := find(ctx, c)
	if err != nil {
		return nil, err
	}
	format, err := formatOf(c, sources)
	if err != nil {
		return nil, err
	}
	p, columns, err := planOf(ctx, c, format, sources)
	if err != nil {
		return nil, err
	}
	if c.Told != nil {
		c.Told(columns)
	}
	r := &Result{Kind: "import", Status: "succeeded", Format: format, Files: names(sources), Output: c.Out, Columns: columns}
	if c.Out == "" {
		r.Status = "planned"
		return r, nil
	}
	folder, err := run.NewFolder(ctx, c.Store, c.Out, "import-"+string(api.NewID()))
	if err != nil {
		return nil, err
	}
	w := &writing{cfg: c, folder: folder, plan: p, sources: sources, result: r}
	if err := w.run(ctx); err != nil {
		return nil, errors.Join(err, folder.Abandon(context.WithoutCancel(ctx)))
	}
	return r, nil
}

// writing is one import on its way to the folder.
type writing struct {
	cfg     Config
	folder  *run.Folder
	plan    plan
	sources []*source
	result  *Result

	pump    *pump
	regroup *data.Regroup
	ready   []*data.Batch
	ended   bool
	rejects *rejectFile
}

func (w *writing) run(whole context.Context) error {
	ctx, cancel := context.WithCancelCause(whole)
	w.rejects = &rejectFile{ctx: ctx, folder: w.folder}
	w.pump = startPump(ctx, w.plan, w.sources, w.cfg.Threads)
	schema := text.Schema(w.plan.formats())
	w.regroup = data.NewRegroup(schema, w.cfg.RowsPerGroup, 256<<20)
	m := &run.Manifest{Kind: "import", Name: filepath.Base(w.cfg.Out), Code: w.cfg.Code, Schema: schema}
	err := w.parts(ctx, m)
	if err != nil {
		cancel(err)
	}
	w.pump.stop()
	rejected, closed := w.rejects.close(err)
	cancel(nil)
	if err := errors.Join(err, closed); err != nil {
		return err
	}
	if err := w.judge(); err != nil {
		return err
	}
	m.Rejected = rejected
	m.Spec, m.Input = w.digest(), digestOf(w.sources)
	if err := w.folder.Publish(whole, m); err != nil {
		return err
	}
	r := w.result
	r.Digest, r.Parts, r.RowsIn = m.Digest, len(m.Parts), r.RowsOut+r.RowsRejected
	for _, p := range m.Parts {
		r.Bytes += p.Bytes
	}
	if rejected != nil {
		r.Rejected = files.Join(w.cfg.Out, run.RejectedName)
	}
	return nil
}

// parts writes all rows; a table without rows is one part.
func (w *writing) parts(ctx context.Context, m *run.Manifest) error {
	b, err := w.group()
	counted := int64(0)
	for n := 0; err == nil; n++ {
		var rows int64
		part, failed := w.folder.StagePart(ctx, n, func(f io.Writer) error {
			pc := parquet.DefaultWriterConfig()
			pc.Workers = w.cfg.Threads
			pw, err := parquet.NewWriter(f, m.Schema, pc)
			if err != nil {
				return err
			}
			for b != nil && rows+int64(b.NumRows) <= w.cfg.RowsPerFile {
				if err := pw.Write(b); err != nil {
					return err
				}
				rows += int64(b.NumRows)
				if b, err = w.group(); err != nil {
					return err
				}
			}
			return pw.Close()
		})
		if failed != nil {
			return failed
		}
		part.RowsOut, part.RowsRejected = rows, w.result.RowsRejected-counted
		part.RowsIn, counted = rows+part.RowsRejected, w.result.RowsRejected
		w.result.RowsOut += rows
		m.Parts = append(m.Parts, part)
		if b == nil {
			return nil
		}
	}
	return err
}

// group returns the next row group, nil after the last.
func (w *writing) group() (*data.Batch, error) {
	for len(w.ready) == 0 {
		if w.ended {
			return nil, nil
		}
		p, err := w.pump.next()
		if errors.Is(err, io.EOF) {
			w.ended = true
			if rest := w.regroup.Rest(); rest != nil {
				w.ready = append(w.ready, rest)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := w.reject(p); err != nil {
			return nil, err
		}
		w.ready = w.regroup.Add(p.batch)
	}
	b := w.ready[0]
	w.ready = w.ready[1:]
	return b, nil
}

// reject writes down the lines that are no rows.
func (w *writing) reject(p piece) error {
	if len(p.rejects) == 0 {
		return nil
	}
	w.result.RowsRejected += int64(len(p.rejects))
	if err := w.rejects.write(p.file, p.rejects); err != nil {
		return err
	}
	if most, _, _ := w.cfg.limit(); most >= 0 && w.result.RowsRejected > most {
		first := w.rejects.first
		return fault.New(fault.Invalid, "import: more than %d lines are no rows (%w); the first is line %d of %s: %s", most, ErrTooMany, first.Line, w.rejects.firstFile, first.Reason)
	}
	return nil
}

// judge says whether too many lines were rejected.
func (w *writing) judge() error {
	r := w.result
	_, share, _ := w.cfg.limit()
	total := r.RowsOut + r.RowsRejected
	switch {
	case share >= 0 && float64(r.RowsRejected) > share*float64(total):
		return fault.New(fault.Invalid, "import: %d of %d lines are no rows, more than %s (%w); the first is line %d of %s: %s",
			r.RowsRejected, total, w.cfg.MaxRejected, ErrTooMany, w.rejects.first.Line, w.rejects.firstFile, w.rejects.first.Reason)
	case r.RowsOut == 0 && r.RowsRejected > 0:
		return fault.New(fault.Invalid, "import: none of %d lines is a row; the first is line %d of %s: %s", r.RowsRejected, w.rejects.first.Line, w.rejects.firstFile, w.rejects.first.Reason)
	}
	return nil
}

// digest names what shapes the output, beside the input.
func (w *writing) digest() string {
	var columns []string
	for _, f := range w.plan.formats() {
		columns = append(columns, f.Name, f.String())
	}
	b, err := json.Marshal([]any{"import", w.result.Format, w.plan.settings(), columns, w.cfg.Nulls, w.cfg.MaxRecord, w.cfg.RowsPerGroup, w.cfg.RowsPerFile})
	if err != nil { // strings and numbers have a JSON form
		panic(fmt.Sprintf("importer: %v", err))
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
