package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/importer"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
)

// completeImport adds what has to be looked at first.
func (a *app) completeImport(cfg *importer.Config, types []string, dry bool) (err error) {
	if cfg.Types, err = typesOf(types); err == nil {
		cfg.Memory, err = a.budget()
	}
	if err != nil {
		return err
	}
	if dry {
		cfg.Out = ""
	} else if cfg.Out == "" {
		return fault.New(fault.Invalid, "import: name the folder to write: --out DIR; --dry-run shows the types alone")
	}
	if !a.quiet && !dry {
		cfg.Told = a.tellColumns
	}
	return nil
}

func (a *app) importCommand() *cobra.Command {
	cfg := importer.DefaultConfig()
	cfg.Threads = runtime.GOMAXPROCS(0)
	var types []string
	var maxLine int
	var dry bool
	c := a.verb("import FILE...", "Turn CSV, NDJSON or Arrow files into Parquet", cobra.ArbitraryArgs, func(ctx context.Context, args []string) error {
		cfg.Files, cfg.Stdin, cfg.Code, cfg.MaxRecord, cfg.Store = args, a.stdin, version, maxLine, a.files
		cfg.Delimiter = importer.Delimiter(cfg.Delimiter)
		if err := a.completeImport(&cfg, types, dry); err != nil {
			return err
		}
		start := a.clock.Now()
		r, err := importer.Run(ctx, cfg)
		if errors.Is(err, importer.ErrTooMany) {
			return exit.With(exit.Refused, err)
		}
		if err != nil {
			return err
		}
		r.Seconds = a.clock.Now().Sub(start).Round(time.Microsecond).Seconds()
		return a.result(imported{r})
	})
	c.Long = `Turn CSV, NDJSON or Arrow files into an output folder of Parquet, which every
job can read.

The types of the columns are found in a sample from the beginning, the middle and
the end of the file, and shown; --type overrides them. A line that is no row, or
has a value that is not of its column's type, goes to _rejected.ndjson in the
output folder, with its number and the reason. See docs/formats/import.md.`
	c.Example = `  troupe data import sales.csv --out data/sales
  troupe data import 'logs/*.ndjson.gz' --out data/logs --max-rejected 0.1%
  troupe data import sales.csv --type zip=string --type at=timestamp_utc --null NA --out data/sales
  troupe data import 's3://lake/raw/2024-*.csv.gz' --out s3://lake/sales
  zcat events.csv.gz | troupe data import - --format csv --out data/events`
	f := c.Flags()
	f.StringVar(&cfg.Out, "out", "", "the folder to write, or s3://BUCKET/PREFIX")
	f.StringVar(&cfg.Format, "format", "", "csv, ndjson or arrow (default: by the names of the files)")
	f.StringVar(&cfg.Delimiter, "delimiter", "", `of CSV, such as ; or \t (default: found in the sample)`)
	f.BoolVar(&cfg.NoHeader, "no-header", false, "the first line of CSV is a row; columns are called column_1, column_2 ...")
	f.StringArrayVar(&types, "type", nil, "COLUMN=TYPE instead of what the sample says; may be repeated. Types: bool, int32, int64, float32, float64, string, date, timestamp, timestamp_utc, timestamp_s, timestamp_ms, timestamp_us")
	f.StringArrayVar(&cfg.Nulls, "null", cfg.Nulls, "a spelling of null in CSV, beside the empty field; may be repeated, and replaces the usual ones")
	f.StringVar(&cfg.MaxRejected, "max-rejected", "", "fail when more lines than this are no rows: a number, or a share such as 1% (default: fail when all are)")
	f.IntVar(&maxLine, "max-line", cfg.MaxRecord, "the longest line in bytes; longer ones are rejected")
	f.IntVar(&cfg.RowsPerGroup, "rows-per-group", cfg.RowsPerGroup, "rows of a row group")
	f.Int64Var(&cfg.RowsPerFile, "rows-per-file", cfg.RowsPerFile, "the most rows of a file")
	f.IntVar(&cfg.Threads, "threads", cfg.Threads, "how many chunks are read at the same time; the output does not depend on it")
	f.BoolVar(&dry, "dry-run", false, "show the types and write nothing")
	return c
}

// typesOf reads the values of --type. A name may hold an equals sign, a type
// does not.
func typesOf(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		i := strings.LastIndexByte(p, '=')
		if i < 1 {
			return nil, fault.New(fault.Invalid, "--type %s: expected COLUMN=TYPE, such as amount=float64", p)
		}
		if _, ok := out[p[:i]]; ok {
			return nil, fault.New(fault.Invalid, "--type %s: column %q has a type already", p, p[:i])
		}
		out[p[:i]] = p[i+1:]
	}
	return out, nil
}

// tellColumns shows the types before the rows are read, which may take a while.
func (a *app) tellColumns(columns []importer.Column) {
	var b strings.Builder
	_ = render.Write(&b, render.Table, columnTable(columns)) // a builder takes everything
	a.say("%s", strings.TrimRight(b.String(), "\n"))
}

// columnTable is the columns as people see them.
type columnTable []importer.Column

// Sections is one table.
func (t columnTable) Sections() []render.Section {
	s := render.Section{Columns: render.Left("column", "type", "note")}
	for _, c := range t {
		s.Rows = append(s.Rows, []string{c.Name, c.Type, c.Note})
	}
	return []render.Section{s}
}

// imported is the result of an import.
type imported struct{ *importer.Result }

// Sections is what was done; of a dry run, the columns.
func (r imported) Sections() []render.Section {
	if r.Output == "" {
		return columnTable(r.Columns).Sections()
	}
	s := render.Section{Facts: []render.Fact{
		{Name: "output", Value: r.Output},
		{Name: "rows", Value: fmt.Sprintf("%s of %s", progress.Thousands(r.RowsOut), progress.Thousands(r.RowsIn))},
		{Name: "parts", Value: fmt.Sprintf("%d, %s bytes", r.Parts, progress.Thousands(r.Bytes))},
		{Name: "digest", Value: r.Digest},
		{Name: "seconds", Value: fmt.Sprintf("%.1f", r.Seconds)},
	}}
	if r.RowsRejected > 0 {
		s.Facts = append(s.Facts, render.Fact{Name: "rejected", Value: fmt.Sprintf("%s lines: see %s", progress.Thousands(r.RowsRejected), r.Rejected)})
	}
	return []render.Section{s}
}
