package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/gateway/api"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	c := a.verb("logs JOB", "Show what has happened to a job, event by event, with the reasons of failures", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			if f, err := render.ParseFormat(a.output); follow && err == nil && f == render.Table {
				return a.followLog(ctx, b, args[0])
			}
			if follow { // a document is written whole
				if _, err := b.Watch(ctx, args[0], func(backend.Update) {}); err != nil {
					return err
				}
			}
			events, err := b.History(ctx, args[0])
			if err != nil {
				return err
			}
			return a.result(history(events))
		})
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	return c
}

// logPause is the least time between two looks at a log that is followed.
const logPause = 300 * time.Millisecond

// followLog writes a job's log line by line until the job has ended.
func (a *app) followLog(ctx context.Context, b backend.Backend, id string) error {
	written := 0
	write := func() error {
		events, err := b.History(ctx, id)
		if err != nil {
			return err
		}
		for ; written < len(events); written++ {
			if _, err := fmt.Fprintln(a.stdout, render.Clean(logText(events[written]))); err != nil {
				return err
			}
		}
		return nil
	}
	if err := write(); err != nil {
		return err
	}
	looked := a.clock.Now()
	last, err := b.Watch(ctx, id, func(u backend.Update) {
		if u.State == nil || a.clock.Now().Sub(looked) < logPause {
			return
		}
		looked = a.clock.Now()
		_ = write() // the last look says what is wrong
	})
	if ctx.Err() != nil && !backend.Ended(last) {
		a.say("%v: job %s goes on", context.Cause(ctx), id)
		return exit.With(exit.Of(context.Cause(ctx)), nil)
	}
	if err != nil {
		return err
	}
	return write()
}

// logText is an event as one line.
func logText(e api.LogLine) string {
	words := []string{e.At.Local().Format("15:04:05.000"), fmt.Sprintf("%-13s", e.Event)}
	if e.Task != "" {
		words = append(words, e.Task)
	}
	if e.Attempt > 1 {
		words = append(words, "attempt "+strconv.Itoa(e.Attempt))
	}
	if len(e.Members) > 0 {
		words = append(words, "on "+strings.Join(e.Members, ", "))
	}
	if e.Text != "" {
		words = append(words, e.Text)
	}
	return strings.Join(words, "  ")
}
