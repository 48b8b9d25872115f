package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features/parity"
)

// ParityOptions say how much is compared.
type ParityOptions struct {
	Rows    int    // at most; 0: the usual
	Scratch string // a folder that is not there yet and may be made
}

// DefaultParityRows is how many rows are compared if nobody says.
const DefaultParityRows = 100_000

// ParityReport is what came of computing features for a batch and for one row at
// a time.
type ParityReport struct {
	Kind      string          `json:"kind"`
	Name      string          `json:"name"`
	Model     string          `json:"model,omitempty"`
	Input     string          `json:"input"`
	Equal     bool            `json:"equal"`
	InputRows int64           `json:"input_rows"` // that count
	Rows      int64           `json:"rows"`       // that were compared
	Entities  int64           `json:"entities"`   // whose rows they are; 0 when no feature looks back
	Features  []*parity.Tally `json:"features"`
	Notes     []string        `json:"notes"`
}

// errCompared ends a job whose features have been compared.
var errCompared = errors.New("its features have been compared")

// Parity computes the features of a job twice, for whole pieces of its input as
// the job does and for one row at a time as a server does, and compares every bit.
// A features or train job is run as it is up to where its features are fitted and
// their windows computed; of a predict job the model is given, and predictions are
// compared, too. The store keeps what passes on the way, and is to be thrown away.
//
// Rows that were learned from are compared as others are: what a features job
// writes of them out of fold is another value by design.
//
// Errors: those that the job itself would end with, and of kind Invalid when there
// is nothing to compare.
func (e *Env) Parity(ctx context.Context, s spec.Spec, o ParityOptions) (*ParityReport, error) {
	s, err := compared(s, o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var once sync.Once
	var report *ParityReport
	var failed error
	body := func(ctx context.Context, t Task, r Reporter) (jobs.Result, error) {
		switch t.Stage.Name {
		case plan.Apply, plan.Train, plan.Score:
			once.Do(func() {
				w := &work{Env: e, ctx: ctx, task: t, spec: s, report: r}
				report, failed = w.parity(o)
				stop(errCompared)
			})
			return jobs.Result{}, fault.New(fault.Canceled, "%w", errCompared)
		}
		return e.Body(ctx, t, r)
	}
	l := Local{Store: e.Store, Body: body, Clock: e.Clock, Slots: max(e.Threads, 1), MaxBytes: e.Memory}
	sum := sha256.Sum256(s.Canonical())
	j, err := l.Run(ctx, jobs.ID("parity"+hex.EncodeToString(sum[:8])), string(s.Kind), s.Name, s.Canonical())
	switch {
	case report != nil || failed != nil:
		return report, failed
	case err != nil:
		return nil, err
	case j.Failure != nil:
		return nil, fault.New(j.Failure.Kind, "%s", j.Failure.Message)
	default:
		return nil, fault.New(fault.Invalid, "parity: input %s: %w", inputRead(s), errNoRows)
	}
}

// compared returns the job as it is run: it leaves nothing where it would.
func compared(s spec.Spec, o ParityOptions) (spec.Spec, error) {
	if o.Rows < 0 {
		return s, fault.New(fault.Invalid, "parity: %d rows: expected at least 1", o.Rows)
	}
	switch {
	case s.Features != nil:
		f := *s.Features
		f.Output, s.Features = o.Scratch, &f
	case s.Predict != nil:
		p := *s.Predict
		p.Output, s.Predict = o.Scratch, &p
	case s.Train != nil && s.Train.Features != nil:
	default:
		return s, fault.New(fault.Invalid, "parity: %s %q computes no features: name a features job, a train job with features, or a model", s.Kind, s.Name)
	}
	return s, nil
}

func inputRead(s spec.Spec) string {
	if s.Predict != nil {
		return s.Predict.Input
	}
	return inputOf(s)
}

// parity compares what is fitted and shuffled by now.
func (w *work) parity(o ParityOptions) (*ParityReport, error) {
	c, err := w.comparing()
	if err != nil {
		return nil, err
	}
	most := o.Rows
	if most == 0 {
		most = DefaultParityRows
	}
	entities, err := c.choose(most)
	if err != nil {
		return nil, err
	}
	if err := c.pick(entities); err != nil {
		return nil, err
	}
	tallies, err := c.compare(entities)
	if err != nil {
		return nil, err
	}
	r := &ParityReport{
		Kind: string(w.spec.Kind), Name: w.spec.Name, Input: c.data.Path, Equal: true, InputRows: c.seen, Features: tallies, Notes: []string{},
	}
	if c.model != nil {
		r.Model = w.spec.Predict.Model
	}
	for _, e := range entities {
		r.Rows += int64(len(e))
	}
	if c.windows {
		r.Entities = int64(len(entities))
	}
	if r.Rows == 0 {
		return nil, fault.New(fault.Invalid, "parity: input %s: %w", c.data.Path, errNoRows)
	}
	r.notes(c)
	for _, t := range tallies {
		r.Equal = r.Equal && t.Different == 0
	}
	return r, c.locate(tallies)
}

// notes says what was not compared as it stands in an output.
func (r *ParityReport) notes(c *comparing) {
	if n := c.mute.Load(); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d rows hold NaN, an infinity or a text that is no UTF-8, which no JSON request can say; they were compared without one", n))
	}
	if c.pipeline == nil {
		r.Notes = append(r.Notes, "the model has no features of its own; its predictions were compared")
		return
	}
	if !c.windows && len(c.pipeline.WindowNames()) > 0 {
		r.Notes = append(r.Notes, "the input has the windows already; they were taken as they are")
	}
	if c.model != nil {
		return
	}
	for _, s := range c.pipeline.Config().Steps {
		if s.Op == "target_encode" {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: rows that were learned from were compared as new rows are; a job gives them values out of fold, which differ by design", s.Name))
		}
	}
}

// locate says in which rows of which files the first differences are.
func (c *comparing) locate(tallies []*parity.Tally) error {
	var found []*parity.Difference
	for _, t := range tallies {
		if t.First != nil {
			found = append(found, t.First)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b *parity.Difference) int { return int(min(max(a.Number-b.Number, -1), 1)) })
	first := int64(0) // row of the file
	for _, file := range c.data.Files {
		rows, err := c.rowsOf(file)
		if err != nil {
			return err
		}
		for len(found) > 0 && found[0].Number < first+rows {
			found[0].File, found[0].Row = file.Path, found[0].Number-first
			found = found[1:]
		}
		first += rows
	}
	return nil
}

// rowsOf counts the rows of a file.
func (c *comparing) rowsOf(file DataFile) (rows int64, err error) {
	f, err := c.data.files.Open(c.ctx, file.Path, file.Version)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	pf, err := c.data.parquet(f, file.Path)
	if err != nil {
		return 0, err
	}
	for g := range pf.NumRowGroups() {
		rows += pf.RowGroup(g).Rows
	}
	return rows, nil
}
