package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/dataview"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/internal/fault"
)

func (a *app) dataCommand() *cobra.Command {
	var scan bool
	var columns []string
	show := a.verb("show PATH", "Show the columns of Parquet files and, with --scan, what is in them", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		v, err := dataview.Look(ctx, a.files, args[0], columns, scan)
		if err != nil {
			return err
		}
		return a.result(v)
	})
	show.Flags().BoolVar(&scan, "scan", false, "read all values: nulls, distinct values, quantiles, histograms")
	show.Flags().StringSliceVar(&columns, "columns", nil, "only these, in this order")
	return group("data", "Bring data in and out, look at it, and make some", a.importCommand(), a.dataExportCommand(), show, a.headCommand(), group("generate", "Make sample data", a.transactionsCommand()))
}

// generated is what was made.
type generated struct {
	Output string `json:"output"`
	Rows   int64  `json:"rows"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	Seed   uint64 `json:"seed"`
}

func (a *app) transactionsCommand() *cobra.Command {
	cfg := generate.DefaultConfig()
	var out, start string
	var files int
	c := a.verb("transactions", "Make card transactions, a few of them fraudulent, from a seed", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if out == "" {
			return fault.New(fault.Invalid, "generate: name the folder to write: --out DIR")
		}
		if files < 1 || files > 10000 {
			return fault.New(fault.Invalid, "--files %d: expected 1 to 10000", files)
		}
		if start != "" {
			day, err := parseDay(start)
			if err != nil {
				return err
			}
			cfg.Start = day
		}
		if err := emptyOrOurs(out); err != nil {
			return err
		}
		if err := a.generate(ctx, cfg, out, files); err != nil {
			return err
		}
		g := generated{Output: out, Rows: cfg.Rows, Seed: cfg.Seed}
		err := eachPart(out, func(info os.FileInfo) { g.Files, g.Bytes = g.Files+1, g.Bytes+info.Size() })
		if err != nil {
			return err
		}
		return a.result(g)
	})
	f := c.Flags()
	f.StringVar(&out, "out", "", "the folder to write")
	f.Int64Var(&cfg.Rows, "rows", cfg.Rows, "how many transactions")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "another seed makes another table of the same kind")
	f.Int64Var(&cfg.Users, "users", cfg.Users, "how many different users")
	f.IntVar(&cfg.Days, "days", cfg.Days, "how many days they cover")
	f.StringVar(&start, "start", "", "the first day, as 2024-01-31")
	f.Float64Var(&cfg.Drift, "drift", cfg.Drift, "how far the distributions are moved: 0 not at all, 1 a lot")
	f.IntVar(&cfg.RowsPerGroup, "rows-per-group", cfg.RowsPerGroup, "rows of a row group; it does not change the rows")
	f.IntVar(&files, "files", 1, "how many files; it does not change the rows")
	return c
}

// emptyOrOurs refuses a folder that holds anything but what the verb writes,
// and removes that, so that no part of an earlier table stays.
func emptyOrOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fault.New(fault.Invalid, "generate: %w", err)
	}
	for _, e := range entries {
		if !isPart(e.Name()) {
			return fault.New(fault.Conflict, "generate: %s holds %q, which this command has not written; name an empty folder", dir, e.Name())
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fault.New(fault.Invalid, "generate: %w", err)
		}
	}
	return nil
}

func isPart(name string) bool {
	return strings.HasPrefix(name, "part-") && strings.HasSuffix(name, ".parquet") || strings.HasPrefix(name, ".tmp-")
}

func eachPart(dir string, visit func(os.FileInfo)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.New(fault.Internal, "generate: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return fault.New(fault.Internal, "generate: %w", err)
		}
		visit(info)
	}
	return nil
}

func parseDay(text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return day, fault.New(fault.Invalid, "--start %s: expected a day such as 2024-01-31", text)
	}
	return day, nil
}
