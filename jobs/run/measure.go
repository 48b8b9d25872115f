package run

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// Slice is how good a model is on the rows of a part that have one value in a
// column.
type Slice struct {
	Part    string             `json:"part"`
	Column  string             `json:"column"`
	Value   string             `json:"value"` // or "(other)", "(null)"
	Rows    int64              `json:"rows"`
	Metrics map[string]float64 `json:"metrics"`
}

// measures fills in how good a model is on validation and test rows.
func (w *work) measures(comm collective.Comm, m models.Model, t *tables, p *prepared, out *trained) error {
	out.Metrics, out.Details = map[string]metrics.Report{}, map[string]metrics.Detail{}
	base := newBaseline(p.Target)
	for _, part := range measuredParts {
		table := t.parts[part]
		if table.NumRows == 0 {
			continue
		}
		g, err := newGrader(m.Problem(), p, part, table.NumRows)
		if err == nil {
			err = g.grade(w.ctx, comm, m, table)
		}
		if err == nil {
			err = g.report(part, p, base, out)
		}
		if err != nil {
			return fmt.Errorf("%s metrics: %w", part, err)
		}
	}
	out.Baseline = base.conclude(out.Metrics, w.spec.Train.EarlyStopping)
	return nil
}

// grader measures a model on the rows of one part, of which every rank takes a
// share.
type grader struct {
	problem models.Problem
	mean    float64            // of the training rows' targets
	all     *metrics.Evaluator // of the model
	simple  *metrics.Evaluator // of the mean; of classes it follows from their counts
	columns []*gradedColumn
	// room for a block of rows
	predicted, truth, means []float64
	classes                 []int
}

// gradedColumn measures the rows of each value of a column by themselves.
type gradedColumn struct {
	*sliceColumn
	codes []byte
	by    []*metrics.Evaluator // by code; nil until there is a row of it
}

func newGrader(problem models.Problem, p *prepared, part split.Part, numRows int) (*grader, error) {
	g := &grader{problem: problem, mean: p.Target.Mean()}
	var err error
	if g.all, err = g.evaluator(); err != nil {
		return nil, err
	}
	if g.simple, err = g.evaluator(); err != nil {
		return nil, err
	}
	for _, s := range p.Slices {
		c := &gradedColumn{sliceColumn: s, codes: s.Codes[part.String()], by: make([]*metrics.Evaluator, len(s.Values)+2)}
		if len(c.codes) != numRows {
			return nil, fault.New(fault.Corrupt, "slices: column %q has values of %d rows of %d", s.Column, len(c.codes), numRows)
		}
		g.columns = append(g.columns, c)
	}
	return g, nil
}

func (g *grader) evaluator() (*metrics.Evaluator, error) {
	return metrics.NewFullEvaluator(g.problem.Task, g.problem.NumClasses)
}

// gradeBlock is the number of rows that are dealt to the ranks at a time.
const gradeBlock = 4096

// grade measures the rows; every rank predicts its share of them, and all know
// the same then.
func (g *grader) grade(ctx context.Context, comm collective.Comm, m models.Model, t models.Table) error {
	k := g.problem.NumOutputs()
	out := make([]float32, gradeBlock*k)
	roomX, roomY := t.Room(gradeBlock)
	for block := comm.Rank(); block*gradeBlock < t.NumRows; block += comm.WorldSize() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		from := block * gradeBlock
		n := min(gradeBlock, t.NumRows-from)
		x, y, err := t.Block(from, n, roomX, roomY)
		if err != nil {
			return err
		}
		if err := m.Predict(x, n, out[:n*k]); err != nil {
			return err
		}
		if err := g.observe(from, y, out[:n*k]); err != nil {
			return err
		}
	}
	return g.exchange(ctx, comm)
}

// observe adds rows of the part from one on.
func (g *grader) observe(from int, y, out []float32) error {
	g.predicted, g.truth, g.classes = g.predicted[:0], g.truth[:0], g.classes[:0]
	for _, v := range out {
		g.predicted = append(g.predicted, float64(v))
	}
	for _, v := range y {
		g.truth, g.classes = append(g.truth, float64(v)), append(g.classes, int(v))
	}
	if err := g.add(g.all, g.truth, g.classes, g.predicted); err != nil {
		return err
	}
	if g.problem.Task == metrics.Regression {
		for len(g.means) < len(y) {
			g.means = append(g.means, g.mean)
		}
		if err := g.simple.ObserveValues(g.truth, g.means[:len(y)]); err != nil {
			return err
		}
	}
	for _, c := range g.columns {
		if err := g.slice(c, c.codes[from:from+len(y)]); err != nil {
			return err
		}
	}
	return nil
}

func (g *grader) add(e *metrics.Evaluator, truth []float64, classes []int, predicted []float64) error {
	if g.problem.Task == metrics.Regression {
		return e.ObserveValues(truth, predicted)
	}
	return e.ObserveClasses(classes, predicted)
}

// slice adds the rows of a block to the evaluators of their values.
func (g *grader) slice(c *gradedColumn, codes []byte) error {
	k := g.problem.NumOutputs()
	rows := make([][]int, len(c.by))
	for i, code := range codes {
		rows[code] = append(rows[code], i)
	}
	var truth, predicted []float64
	var classes []int
	for code, of := range rows {
		if len(of) == 0 {
			continue
		}
		if c.by[code] == nil {
			var err error
			if c.by[code], err = g.evaluator(); err != nil {
				return err
			}
		}
		truth, predicted, classes = truth[:0], predicted[:0], classes[:0]
		for _, i := range of {
			truth, classes = append(truth, g.truth[i]), append(classes, g.classes[i])
			predicted = append(predicted, g.predicted[i*k:(i+1)*k]...)
		}
		if err := g.add(c.by[code], truth, classes, predicted); err != nil {
			return err
		}
	}
	return nil
}

// evaluators are all there are, in an order that all ranks have.
func (g *grader) evaluators() []**metrics.Evaluator {
	all := []**metrics.Evaluator{&g.all, &g.simple}
	for _, c := range g.columns {
		for i := range c.by {
			all = append(all, &c.by[i])
		}
	}
	return all
}

// exchange merges what the ranks have measured.
func (g *grader) exchange(ctx context.Context, comm collective.Comm) error {
	if comm.WorldSize() == 1 {
		return nil
	}
	var mine []byte
	for _, e := range g.evaluators() {
		var state []byte
		if *e != nil {
			var err error
			if state, err = (*e).MarshalBinary(); err != nil {
				return err
			}
		}
		mine = append(binary.AppendUvarint(mine, uint64(len(state))), state...)
		*e = nil
	}
	for rank := range comm.WorldSize() {
		b, err := comm.Broadcast(ctx, rank, mine)
		if err != nil {
			return err
		}
		if err := g.merge(b); err != nil {
			return err
		}
	}
	return nil
}

func (g *grader) merge(b []byte) error {
	r := unpack.New("metrics of a rank", b)
	for _, e := range g.evaluators() {
		state := r.Nested()
		if r.Err() != nil || len(state) == 0 {
			continue
		}
		one := &metrics.Evaluator{}
		if err := one.UnmarshalBinary(state); err != nil {
			return err
		}
		if *e == nil {
			*e = one
		} else if err := (*e).Merge(one); err != nil {
			return err
		}
	}
	return r.End()
}

// report adds what was measured to what the gang leaves behind.
func (g *grader) report(part split.Part, p *prepared, base *baseline, out *trained) error {
	name := part.String()
	var err error
	if out.Metrics[name], err = g.all.Report(); err != nil {
		return err
	}
	out.Details[name] = g.all.Detail(p.Target.Classes())
	if err := base.add(name, g); err != nil {
		return err
	}
	for _, c := range g.columns {
		for code, e := range c.by {
			if e == nil {
				continue
			}
			report, err := e.Report()
			if err != nil {
				return err
			}
			out.Slices = append(out.Slices, Slice{Part: name, Column: c.Column, Value: c.name(code), Rows: e.NumRows(), Metrics: values(report)})
		}
	}
	return nil
}

// prior returns the shares of the classes among the rows learned from.
func prior(t *features.Target) []float64 {
	out := make([]float64, len(t.ClassCounts()))
	all := 0.0
	for _, n := range t.ClassCounts() {
		all += float64(n)
	}
	for i, n := range t.ClassCounts() {
		out[i] = float64(n) / all
	}
	return out
}
