package run

import (
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/drift"
)

// driftColumns returns the columns that are compared: those of the spec, or all
// that both sides have. b is the reference's bundle when that is a model.
func driftColumns(d *spec.Drift, s *Survey, b *bundle.Bundle) ([]string, error) {
	var reference []string
	switch {
	case s.Reference != nil:
		reference = drift.Profiled(s.Reference.Schema)
	case b != nil:
		reference = b.Profile.Columns()
		if b.Pipeline != nil { // windows are not columns of raw rows
			windows := b.Pipeline.WindowNames()
			reference = slices.DeleteFunc(reference, func(n string) bool { return slices.Contains(windows, n) && s.Input.Schema.Index(n) < 0 })
		}
	default: // the model is looked at later
		reference = drift.Profiled(s.Input.Schema)
	}
	for _, n := range slices.Concat(d.Columns.Include, d.Columns.Exclude, methodColumns(d)) {
		if s.Input.Schema.Index(n) < 0 && !slices.Contains(reference, n) {
			return nil, fault.New(fault.Invalid, "columns: there is no column %q; the input has %s", n, listed(s.Input.Schema.Names()))
		}
	}
	wanted := reference
	if len(d.Columns.Include) > 0 {
		wanted = d.Columns.Include
	}
	current := drift.Profiled(s.Input.Schema)
	var out []string
	for _, n := range wanted {
		if slices.Contains(d.Columns.Exclude, n) {
			continue
		}
		if !slices.Contains(current, n) || !slices.Contains(reference, n) {
			return nil, fault.New(fault.Invalid, "columns: %q cannot be compared: it is not in both the reference and %s, or is of a type that has no profile; exclude it", n, s.Input.Path)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "columns: no column is left to compare")
	}
	return out, nil
}

func methodColumns(d *spec.Drift) []string {
	var out []string
	for n := range d.Methods {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// compared returns the survey of a drift job and the columns that it compares.
func (w *work) compared() (*Survey, []string, *bundle.Bundle, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return nil, nil, nil, err
	}
	var b *bundle.Bundle
	if s.Model != nil {
		var err error
		if b, err = w.load(w.ctx, s.Model.Digest); err != nil {
			return nil, nil, nil, err
		}
	}
	columns, err := driftColumns(w.spec.Drift, &s, b)
	return &s, columns, b, err
}

// reference profiles one shard of the rows that are compared with.
func (w *work) reference() (jobs.Result, error) {
	s, columns, _, err := w.compared()
	if err != nil {
		return jobs.Result{}, err
	}
	return w.profile(s.Reference, columns)
}

// current profiles one shard of the rows in question.
func (w *work) current() (jobs.Result, error) {
	s, columns, _, err := w.compared()
	if err != nil {
		return jobs.Result{}, err
	}
	return w.profile(s.Input, columns)
}

func (w *work) profile(d *Dataset, columns []string) (jobs.Result, error) {
	p, err := drift.NewProfileOf(d.Schema, columns, drift.DefaultLimits())
	if err != nil {
		return jobs.Result{}, err
	}
	rows, err := w.scan(d, columns, func(b *data.Batch, _ rowNumbers) error { return p.Observe(b, nil) })
	if err != nil {
		return jobs.Result{}, err
	}
	return w.keep(rows, p, nil)
}

// merged returns the profile of all shards of a stage.
func (w *work) merged(stage string, d *Dataset, columns []string) (*drift.Profile, int64, error) {
	all, err := drift.NewProfileOf(d.Schema, columns, drift.DefaultLimits())
	if err != nil {
		return nil, 0, err
	}
	rows, err := w.fold(stage, func(b []byte) error {
		one := &drift.Profile{}
		if err := one.UnmarshalBinary(b); err != nil {
			return err
		}
		return all.Merge(one)
	})
	return all, rows, err
}

// compare holds the current profile against the reference's and writes the
// report.
func (w *work) compare() (jobs.Result, error) {
	s, columns, b, err := w.compared()
	if err != nil {
		return jobs.Result{}, err
	}
	current, rows, err := w.merged(plan.Current, s.Input, columns)
	if err != nil {
		return jobs.Result{}, err
	}
	var reference *drift.Profile
	if b != nil {
		reference, err = b.Profile.Select(columns)
	} else {
		reference, _, err = w.merged(plan.Reference, s.Reference, columns)
	}
	if err != nil {
		return jobs.Result{}, err
	}
	report, err := drift.Compare(reference, current, driftConfig(w.spec.Drift))
	if err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.put(report)
	if err != nil {
		return jobs.Result{}, err
	}
	if err := w.writeReport(report); err != nil {
		return jobs.Result{}, err
	}
	o := Outcome{Digest: digest, Output: w.spec.Drift.Report, Drift: &report.DriftDetected, Drifted: []string{}, Columns: map[string]ColumnDrift{}}
	for _, c := range report.Columns {
		o.Columns[c.Name] = ColumnDrift{Method: string(c.Method), Statistic: c.Statistic, Threshold: c.Threshold, Drifted: c.Drifted}
		if c.Drifted {
			o.Drifted = append(o.Drifted, c.Name)
		}
	}
	o.Shards = len(s.Input.Shards)
	if s.Reference != nil {
		o.Shards += len(s.Reference.Shards)
	}
	return w.conclude(s, jobs.Result{Output: digest, RowsIn: rows, RowsOut: rows}, o)
}

func driftConfig(d *spec.Drift) drift.Config {
	c := drift.Config{Method: drift.Method(d.Method), Methods: map[string]drift.Method{}, Share: d.Threshold.Share, Target: d.Target}
	for name, m := range d.Methods {
		c.Methods[name] = drift.Method(m)
	}
	return c
}

// writeReport writes the page for people, if the spec names one.
func (w *work) writeReport(r *drift.Report) error {
	path := w.spec.Drift.Report
	if path == "" {
		return nil
	}
	page, err := r.HTML(w.spec.Name)
	if err != nil {
		return err
	}
	if err := w.Files.Write(w.ctx, path, page); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
