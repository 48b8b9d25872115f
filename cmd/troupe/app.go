package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/client"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/settings"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/nearest"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/memory"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// app is one run of the program: its streams and the flags that every verb has.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // stderr is one: progress may move the cursor
	env            func(string) (string, bool)
	clock          clock.Clock
	files          *files.Files // opens what specs name

	output   string
	address  string
	token    string
	patience time.Duration
	dir      string
	memory   string
	granted  int64  // memory in bytes, once the engine is there
	cache    string // the folder of prepared tables, likewise
	simd     string
	settings string
	quiet    bool
}

func newApp() *app {
	return &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, clock: clock.Real{}, env: os.LookupEnv, files: newFiles(os.LookupEnv),
		terminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
	}
}

// run carries out one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) exit.Code {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exit.OK
	}
	var told *exit.Error
	if errors.As(err, &told) && told.Err == nil {
		return told.Code
	}
	var mine *verbError
	if !errors.As(err, &mine) { // of the command line itself
		a.say("troupe: %v\nsee `%s --help`", err, cmd.CommandPath())
		return exit.Usage
	}
	a.complain(mine.err)
	return exit.Of(mine.err)
}

// complain writes an error. Faults of spec files stand as they are, since
// editors read them.
func (a *app) complain(err error) {
	var faults spec.Faults
	if errors.As(err, &faults) {
		a.say("%v", err)
		return
	}
	a.say("troupe: %v", err)
}

// say writes a line for people, which is never part of a result.
func (a *app) say(format string, args ...any) {
	for _, line := range strings.Split(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintln(a.stderr, render.Clean(line)) // nobody reads it: then it is not read
	}
}

// verbError marks the errors of verbs, so that those of cobra are known to be
// of the command line.
type verbError struct{ err error }

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }

// verb is a command that does something.
func (a *app) verb(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		err := a.prepare(cmd)
		if err == nil {
			err = do(cmd.Context(), args)
		}
		if err != nil {
			return &verbError{exit.Because(cmd.Context(), err)}
		}
		return nil
	}}
}

// meantFlag adds to the error of an unknown flag the one that was probably meant: the
// nearest, or one that begins so.
func meantFlag(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	var known []string
	begins := ""
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		known = append(known, f.Name)
		if begins == "" && strings.HasPrefix(f.Name, name+"-") {
			begins = f.Name
		}
	})
	near := cmp.Or(begins, nearest.Word(name, known))
	if near == "" {
		return err
	}
	return fmt.Errorf("%w; did you mean --%s?", err, near)
}

// group is a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %q?", near[0])
		}
		return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
	}, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(below...)
	return c
}

func (a *app) root() *cobra.Command {
	root := group("troupe", "Jobs over tables on a cluster of actors, and the models they train",
		a.runCommand(), a.featuresCommand(), a.trainCommand(), a.predictCommand(), a.driftCommand(),
		a.deployCommand(), a.promoteCommand(), a.rollbackCommand(),
		a.jobsCommand(), a.nodesCommand(), a.runsCommand(), a.modelsCommand(),
		a.planCommand(), a.verifyCommand(), a.dataCommand(), a.initCommand(), a.schemaCommand(),
		a.nodeCommand(), a.upCommand(), a.tokenCommand(), a.demoCommand(), a.doctorCommand(), a.versionCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(meantFlag)
	root.CompletionOptions.DisableDefaultCmd = false
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", "table", "how results are written: table, json or yaml")
	f.StringVar(&a.address, "address", "", "a node of the cluster, HOST:PORT, or several with commas; without one, work in this process")
	f.StringVar(&a.token, "token", "", "what the cluster knows you by")
	f.DurationVar(&a.patience, "patience", client.DefaultConfig().Patience, "how long to try a cluster again that is there and cannot answer now")
	f.StringVar(&a.dir, "dir", ".troupe", "the project folder of jobs that run in this process")
	f.StringVar(&a.memory, "memory", "", "memory for jobs that run in this process, such as 2GiB; inputs may be larger (default: half of the machine's, or of its container's)")
	f.StringVar(&a.simd, "simd", "auto", "the processor's instructions to use: auto, portable, avx2 or avx512; results do not depend on it")
	f.StringVar(&a.settings, "settings", "", "a file of settings (default: troupe.yaml, if it is there)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress")
	return root
}

// nodeSection is the command that has settings of its own.
const nodeSection = "node"

// prepare fills the flags that the command line leaves open from the
// environment and the settings file, and applies what concerns the process.
func (a *app) prepare(cmd *cobra.Command) error {
	known := settings.NamesOf("", cmd.Root().PersistentFlags())
	section := ""
	for _, c := range cmd.Root().Commands() {
		if c.Name() == nodeSection {
			known = append(known, settings.NamesOf(nodeSection, c.LocalNonPersistentFlags())...)
		}
	}
	if cmd.Name() == nodeSection {
		section = nodeSection
	}
	if err := settings.Fill(cmd.Flags(), section, a.env, known); err != nil {
		return err
	}
	if _, err := render.ParseFormat(a.output); err != nil {
		return err
	}
	return kernels.Use(a.simd)
}

// result writes what a verb has to say, as exactly one document.
func (a *app) result(v any) error {
	f, err := render.ParseFormat(a.output)
	if err != nil {
		return err
	}
	return render.Write(a.stdout, f, v)
}

func (a *app) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// backend is the cluster that --address names, or the engine in this process.
// Whoever asks for it closes it.
func (a *app) backend() (backend.Backend, error) {
	if a.address != "" {
		cfg := client.DefaultConfig()
		cfg.Addresses, cfg.Token, cfg.Clock = strings.FieldsFunc(a.address, func(r rune) bool { return r == ',' || r == ' ' }), a.token, a.clock
		cfg.Patience = a.patience
		return client.New(cfg)
	}
	return a.engine()
}

func (a *app) engine() (*embedded.Engine, error) {
	budget, err := a.budget()
	if err != nil {
		return nil, err
	}
	a.granted, a.cache = budget, filepath.Join(a.dir, "cache")
	limitMemory(budget)
	return embedded.Open(embedded.Config{
		Dir: a.dir, Slots: runtime.GOMAXPROCS(0), Memory: budget, Version: version, Body: a.body, Preview: a.preview, Files: a.files, Clock: a.clock, Log: a.log(),
	})
}

// limitMemory tells the collector of garbage what the process may use.
func limitMemory(budget int64) {
	memory.Limit(budget - budget/8) // some of the budget is for the program itself
}

// leastBudget is the least memory that jobs in this process are run with.
const leastBudget = 64 << 20

// budget is the memory for tasks of jobs that run in this process.
func (a *app) budget() (int64, error) {
	if a.memory == "" {
		return max(node.DefaultConfig().MemoryBytes, leastBudget), nil
	}
	b, err := parseBytes(a.memory)
	if err == nil && b < leastBudget {
		err = fault.New(fault.Invalid, "a job needs at least 64 MiB")
	}
	if err != nil {
		return 0, fault.New(fault.Invalid, "--memory %s: %w", a.memory, err)
	}
	return b, nil
}

// with does something with the backend and closes it.
func (a *app) with(do func(b backend.Backend) error) error {
	b, err := a.backend()
	if err != nil {
		return err
	}
	return errors.Join(do(b), b.Close())
}

// within bounds ctx by --timeout, if that is given.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc, error) {
	if timeout < 0 {
		return nil, nil, fault.New(fault.Invalid, "--timeout %v: must not be negative", timeout)
	}
	if timeout == 0 {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, exit.ErrTimeout)
	return ctx, cancel, nil
}
