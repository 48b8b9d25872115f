package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/dataview"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/importer"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/arrow"
	"github.com/troupe-ml/troupe/data/csv"
	"github.com/troupe-ml/troupe/data/ndjson"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// exportedRows is what was written.
type exportedRows struct {
	Output string `json:"output"`
	Format string `json:"format"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// exporting is what to write, and where to.
type exporting struct {
	path, to, out, comma string
	columns              []string
	limit                int64
}

func (a *app) dataExportCommand() *cobra.Command {
	e := exporting{}
	c := a.verb("export PATH", "Write the rows of Parquet files as CSV, NDJSON or Arrow", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		e.path = args[0]
		if e.to == "" {
			e.to = map[string]string{".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".arrow": "arrow"}[strings.ToLower(filepath.Ext(e.out))]
		}
		if e.to != "csv" && e.to != "ndjson" && e.to != "arrow" {
			return fault.New(fault.Invalid, "--to %s: expected csv, ndjson or arrow", e.to)
		}
		if e.comma = importer.Delimiter(e.comma); len(e.comma) != 1 || strings.ContainsAny(e.comma, "\"\r\n") || e.comma[0] >= 0x80 {
			return fault.New(fault.Invalid, "--delimiter %q: expected one character, such as ; or \\t", e.comma)
		}
		if e.limit < -1 {
			return fault.New(fault.Invalid, "--limit %d: expected a number of rows", e.limit)
		}
		return a.exportRows(ctx, e)
	})
	c.Example = `  troupe data export out/predictions --to csv --limit 1000
  troupe data export out/predictions --out predictions.arrow`
	f := c.Flags()
	f.StringVar(&e.to, "to", "", "csv, ndjson or arrow (default: by the name of --out)")
	f.StringVar(&e.out, "out", "-", "the file to write; - is standard output, as a stream")
	f.StringVar(&e.comma, "delimiter", ",", `of CSV, such as ; or \t`)
	f.StringSliceVar(&e.columns, "columns", nil, "only these, in this order")
	f.Int64Var(&e.limit, "limit", -1, "the most rows (default: all)")
	return c
}

// exportRows writes to standard output, or to a file that appears whole or not at
// all.
func (a *app) exportRows(ctx context.Context, e exporting) error {
	if e.out == "-" {
		_, err := a.exportRowsTo(ctx, a.stdout, e)
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(e.out), ".tmp-*")
	if err != nil {
		return fault.New(fault.Invalid, "export: %w", err)
	}
	r, err := a.exportRowsTo(ctx, f, e)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), e.out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return a.result(r)
}

// rowWriter is any of the formats.
type rowWriter interface{ Write(b *data.Batch) error }

func (a *app) exportRowsTo(ctx context.Context, out io.Writer, e exporting) (exportedRows, error) {
	r := exportedRows{Output: e.out, Format: e.to}
	buf := bufio.NewWriterSize(out, 1<<16)
	count := &counting{w: buf}
	var w rowWriter
	err := dataview.Rows(ctx, a.files, e.path, e.columns, e.limit, func(s data.Schema) (err error) {
		switch e.to {
		case "csv":
			w, err = csv.NewWriter(count, s, e.comma[0])
		case "ndjson":
			w, err = ndjson.NewWriter(count, s)
		default:
			w, err = arrow.NewWriter(count, s, e.out != "-")
		}
		return err
	}, func(b *data.Batch) error {
		r.Rows += int64(b.NumRows)
		return w.Write(b)
	})
	if c, ok := w.(io.Closer); ok && err == nil {
		err = c.Close()
	}
	if err == nil {
		err = buf.Flush()
	}
	r.Bytes = count.n
	return r, err
}

// counting counts what passes through it.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// peek is the first rows of a table.
type peek struct {
	Path    string            `json:"path"`
	Columns []data.Field      `json:"columns"`
	Rows    []json.RawMessage `json:"rows"`
	cells   [][]string
}

// Sections is a line for each row.
func (p peek) Sections() []render.Section {
	s := render.Section{Rows: p.cells}
	for _, f := range p.Columns {
		s.Columns = append(s.Columns, render.Column{Title: f.Name, Right: f.Type.Numeric() && f.Type != data.Bool})
	}
	return []render.Section{s}
}

func (a *app) headCommand() *cobra.Command {
	var columns []string
	var limit int64
	c := a.verb("head PATH", "Show the first rows of Parquet files", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		if limit < 1 || limit > 100_000 {
			return fault.New(fault.Invalid, "--limit %d: expected 1 to 100000; `troupe data export` writes more", limit)
		}
		p := peek{Path: args[0], Rows: []json.RawMessage{}}
		var lines strings.Builder
		var w *ndjson.Writer
		err := dataview.Rows(ctx, a.files, args[0], columns, limit, func(s data.Schema) (err error) {
			p.Columns = s.Fields
			w, err = ndjson.NewWriter(&lines, s)
			return err
		}, func(b *data.Batch) error {
			p.add(b)
			return w.Write(b)
		})
		if err != nil {
			return err
		}
		for line := range strings.Lines(lines.String()) {
			p.Rows = append(p.Rows, json.RawMessage(line))
		}
		return a.result(p)
	})
	c.Flags().StringSliceVar(&columns, "columns", nil, "only these, in this order")
	c.Flags().Int64Var(&limit, "limit", 10, "how many rows")
	return c
}

// add takes the rows of a batch as people see them.
func (p *peek) add(b *data.Batch) {
	for row := range b.NumRows {
		var cells []string
		for i, c := range b.Columns {
			cell := ""
			if c.Valid.Get(row) {
				cell = string(text.AppendValue(nil, p.Columns[i], c, row))
			}
			if r := []rune(cell); len(r) > 60 {
				cell = fmt.Sprint(string(r[:60]), "…")
			}
			cells = append(cells, cell)
		}
		p.cells = append(p.cells, cells)
	}
}
