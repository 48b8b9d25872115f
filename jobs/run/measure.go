package run

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
	"github.com/troupe-ml/troupe/ml/collective"
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
func (w *work) measures(comm collective.Comm, m models.Model, seat *seat, out *trained) error {
	t, p := seat.tables, &seat.prepared
	out.Metrics, out.Details = map[string]metrics.Report{}, map[string]metrics.Detail{}
	loss := rowLossOf(w.spec.Train)
	constant, err := constantOf(p.Target, loss, t.parts[split.Train])
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	base := newBaseline(p.Target, loss, constant, seat.rival)
	for _, part := range measuredParts {
		table := t.parts[part]
		if table.NumRows == 0 {
			continue
		}
		g, err := newGrader(m.Problem(), loss, base, p, part, table)
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
	out.Baseline = base.conclude(out.Metrics, p.Rows[split.Train.String()], w.spec.Train.EarlyStopping)
	return nil
}

// grader measures a model on the rows of one part, of which every rank takes a
// share.
type grader struct {
	problem  models.Problem
	loss     metrics.RowLoss // of a regression
	constant constant
	unit     float64            // of the rows' weights; 0 without
	all      *metrics.Evaluator // of the model
	simple   *metrics.Evaluator // of the mean; of classes it follows from their counts
	rival    *rival             // nil when there is none
	linear   *metrics.Evaluator // of the rival; nil without
	columns  []*gradedColumn
	rows     gradedRows // room for a block of rows
	means    []float64  // likewise
}

// gradedRows are rows and what a model predicts of them.
type gradedRows struct {
	predicted, truth []float64
	weights          []float64 // nil when rows have none
	classes          []int
}

// gradedColumn measures the rows of each value of a column by themselves.
type gradedColumn struct {
	*sliceColumn
	codes []byte
	by    []*metrics.Evaluator // by code; nil until there is a row of it
}

func newGrader(problem models.Problem, loss metrics.RowLoss, base *baseline, p *prepared, part split.Part, t models.Table) (*grader, error) {
	r := base.rival
	g := &grader{problem: problem, loss: loss, constant: base.constant, rival: r}
	var err error
	if t.Weighted {
		all, err := t.TotalWeight()
		if err != nil {
			return nil, err
		}
		g.unit = metrics.WeightUnit(all)
	}
	if g.all, err = g.evaluator(); err != nil {
		return nil, err
	}
	if g.simple, err = g.evaluator(); err != nil {
		return nil, err
	}
	if r != nil {
		if g.linear, err = g.evaluator(); err != nil {
			return nil, err
		}
	}
	for _, s := range p.Slices {
		c := &gradedColumn{sliceColumn: s, codes: s.Codes[part.String()], by: make([]*metrics.Evaluator, len(s.Values)+2)}
		if len(c.codes) != t.NumRows {
			return nil, fault.New(fault.Corrupt, "slices: column %q has values of %d rows of %d", s.Column, len(c.codes), t.NumRows)
		}
		g.columns = append(g.columns, c)
	}
	return g, nil
}

func (g *grader) evaluator() (*metrics.Evaluator, error) {
	e, err := metrics.NewFullEvaluator(g.problem.Task, g.problem.NumClasses)
	if err == nil && g.unit > 0 {
		err = e.Weigh(g.unit)
	}
	if err == nil && g.loss != (metrics.RowLoss{}) {
		err = e.Judge(g.loss)
	}
	return e, err
}

// gradeBlock is the number of rows that are dealt to the ranks at a time.
const gradeBlock = 4096

// grade measures the rows; every rank predicts its share of them, and all know
// the same then.
func (g *grader) grade(ctx context.Context, comm collective.Comm, m models.Model, t models.Table) error {
	k := g.problem.NumOutputs()
	out := make([]float32, gradeBlock*k)
	room := t.Room(gradeBlock)
	for block := comm.Rank(); block*gradeBlock < t.NumRows; block += comm.WorldSize() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		from := block * gradeBlock
		n := min(gradeBlock, t.NumRows-from)
		b, err := t.Block(from, n, room)
		if err != nil {
			return err
		}
		if err := m.Predict(b.X, n, out[:n*k]); err != nil {
			return err
		}
		if err := g.observe(from, b, out[:n*k]); err != nil {
			return err
		}
		if g.rival == nil {
			continue
		}
		if err := g.rival.predict(b.X, n, out[:n*k]); err != nil {
			return err
		}
		if err := g.observeRival(out[:n*k]); err != nil {
			return err
		}
	}
	return g.exchange(ctx, comm)
}

// observe adds rows of the part from one on.
func (g *grader) observe(from int, b models.Block, out []float32) error {
	r := &g.rows
	r.reset()
	for _, v := range out {
		r.predicted = append(r.predicted, float64(v))
	}
	for _, v := range b.Y {
		r.truth, r.classes = append(r.truth, float64(v)), append(r.classes, int(v))
	}
	for _, v := range b.W {
		r.weights = append(r.weights, float64(v))
	}
	if err := g.add(g.all, r); err != nil {
		return err
	}
	if g.problem.Task == metrics.Regression {
		for len(g.means) < len(b.Y) {
			g.means = append(g.means, g.constant.mean)
		}
		if err := g.simple.ObserveWeighedValues(r.truth, g.means[:len(b.Y)], r.weights); err != nil {
			return err
		}
	}
	for _, c := range g.columns {
		if err := g.slice(c, c.codes[from:from+len(b.Y)]); err != nil {
			return err
		}
	}
	return nil
}

// observeRival adds what the rival says of the rows that observe has just added.
func (g *grader) observeRival(out []float32) error {
	r := &g.rows
	r.predicted = r.predicted[:0]
	for _, v := range out {
		r.predicted = append(r.predicted, float64(v))
	}
	return g.add(g.linear, r)
}

func (r *gradedRows) reset() {
	r.predicted, r.truth, r.classes, r.weights = r.predicted[:0], r.truth[:0], r.classes[:0], r.weights[:0]
}

func (g *grader) add(e *metrics.Evaluator, r *gradedRows) error {
	if g.problem.Task == metrics.Regression {
		return e.ObserveWeighedValues(r.truth, r.predicted, r.weights)
	}
	return e.ObserveWeighedClasses(r.classes, r.predicted, r.weights)
}

// slice adds the rows of a block to the evaluators of their values.
func (g *grader) slice(c *gradedColumn, codes []byte) error {
	k := g.problem.NumOutputs()
	rows := make([][]int, len(c.by))
	for i, code := range codes {
		rows[code] = append(rows[code], i)
	}
	var some gradedRows
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
		some.reset()
		for _, i := range of {
			some.truth, some.classes = append(some.truth, g.rows.truth[i]), append(some.classes, g.rows.classes[i])
			some.predicted = append(some.predicted, g.rows.predicted[i*k:(i+1)*k]...)
			if g.unit > 0 {
				some.weights = append(some.weights, g.rows.weights[i])
			}
		}
		if err := g.add(c.by[code], &some); err != nil {
			return err
		}
	}
	return nil
}

// evaluators are all there are, in an order that all ranks have.
func (g *grader) evaluators() []**metrics.Evaluator {
	all := []**metrics.Evaluator{&g.all, &g.simple}
	if g.rival != nil {
		all = append(all, &g.linear)
	}
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
