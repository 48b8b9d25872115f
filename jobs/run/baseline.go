package run

import (
	"math"

	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Baseline is how good simple models are, and whether the one that was trained is
// better than the best of them.
type Baseline struct {
	// Model is the best of Models: prior, the shares of the classes among the training
	// rows, or mean, the mean of their targets (median or quantile, where the loss asks
	// for that), each row as much as it weighs; or linear, a linear model of the same features.
	Model string `json:"model"`
	// Part and Metric are what they are compared by: the test rows, or else those of
	// validation; the metric that early stopping watches, or else log_loss, rmse or that of the loss.
	Part    string                        `json:"part"`
	Metric  string                        `json:"metric"`
	Value   float64                       `json:"value"`   // of the baseline
	Trained float64                       `json:"trained"` // of the model
	Beaten  bool                          `json:"beaten"`  // whether the model is better
	Metrics map[string]map[string]float64 `json:"metrics"` // of the baseline, by part and name
	Models  []BaselineModel               `json:"models"`  // all, Model among them
}

// BaselineModel is one of the simple models.
type BaselineModel struct {
	Model   string                        `json:"model"`
	Rows    int64                         `json:"rows"`            // that it has learned from
	Value   *float64                      `json:"value,omitempty"` // of the metric that is compared, if it is defined
	Metrics map[string]map[string]float64 `json:"metrics"`
}

// baseline gathers a Baseline.
type baseline struct {
	target   *features.Target
	loss     metrics.RowLoss // of a regression
	constant constant
	rival    *rival
	reports  map[string]map[string]metrics.Report // by model and part
}

// linearModel is the name of the linear baseline.
const linearModel = "linear"

func newBaseline(t *features.Target, l metrics.RowLoss, c constant, r *rival) *baseline {
	return &baseline{target: t, loss: l, constant: c, rival: r, reports: map[string]map[string]metrics.Report{}}
}

// simplest names the model that looks at no feature.
func (b *baseline) simplest() string {
	switch {
	case b.target.Task() != metrics.Regression:
		return "prior"
	case b.loss.Kind == metrics.Pinball:
		return "quantile"
	case b.loss.Kind == metrics.AbsoluteError:
		return "median"
	}
	return "mean"
}

// names are the models, the simplest first.
func (b *baseline) names() []string {
	if b.rival == nil {
		return []string{b.simplest()}
	}
	return []string{b.simplest(), linearModel}
}

// constant is what is predicted of every row by a model that looks at none.
type constant struct {
	prior []float64 // the shares of the classes among the training rows
	mean  float64   // of their targets, of a regression, or the quantile that its loss asks for
}

// constantOf returns that of the rows that a target has learned from: as they are
// counted, or else from a table as they weigh.
func constantOf(t *features.Target, l metrics.RowLoss, train models.Table) (constant, error) {
	if q, ok := quantileOf(l); ok {
		v, err := targetQuantile(train, q)
		return constant{mean: v}, err
	}
	if !train.Weighted {
		return constant{shares(t.ClassCounts()), t.Mean()}, nil
	}
	var all sketch.Sum
	sums := make([]sketch.Sum, max(len(t.Classes()), 1))
	err := train.EachTarget(func(y, w float64) {
		all.Add(w)
		if t.Task() == metrics.Regression {
			sums[0].AddProduct(y, w)
		} else {
			sums[int(y)].Add(w)
		}
	})
	if t.Task() == metrics.Regression {
		return constant{mean: sums[0].Value() / all.Value()}, err
	}
	c := constant{prior: make([]float64, len(sums))}
	for i := range sums {
		c.prior[i] = sums[i].Value() / all.Value()
	}
	return c, err
}

// quantileOf returns which quantile minimises a loss, if it is one.
func quantileOf(l metrics.RowLoss) (q float64, ok bool) {
	switch l.Kind {
	case metrics.Pinball:
		return l.Parameter, true
	case metrics.AbsoluteError:
		return 0.5, true
	}
	return 0, false
}

// targetQuantile returns a quantile of a table's targets, each as much as it weighs:
// of more than 65,536 distinct ones up to the rounding of sketch.Quantiles.
func targetQuantile(t models.Table, p float64) (float64, error) {
	unit := 1.0
	if t.Weighted {
		all, err := t.TotalWeight()
		if err != nil {
			return 0, err
		}
		unit = metrics.WeightUnit(all)
	}
	q := sketch.NewQuantiles(1 << 16)
	err := t.EachTarget(func(y, w float64) {
		if n := int64(math.RoundToEven(w / unit)); n > 0 {
			q.AddN(y, n)
		}
	})
	return q.Quantile(p), err
}

// shares returns the shares of the classes that have so many rows.
func shares(counts []int64) []float64 {
	out := make([]float64, len(counts))
	all := 0.0
	for _, n := range counts {
		all += float64(n)
	}
	for i, n := range counts {
		out[i] = float64(n) / all
	}
	return out
}

// add measures the baselines on a part that a model was measured on. The simplest of
// classes predicts the same for every row, so how many there are of each is all
// that matters.
func (b *baseline) add(part string, g *grader) error {
	if b.target.Task() != metrics.Regression {
		p := b.constant.prior
		for label := range p {
			var times int64 // rows, or what they weigh
			for called := range p {
				times += g.all.Confusion().Count(label, called)
			}
			if err := g.simple.ObserveClassTimes(label, p, times); err != nil {
				return err
			}
		}
	}
	for name, e := range map[string]*metrics.Evaluator{b.simplest(): g.simple, linearModel: g.linear} {
		if e == nil {
			continue
		}
		report, err := e.Report()
		if err != nil {
			return err
		}
		if b.reports[name] == nil {
			b.reports[name] = map[string]metrics.Report{}
		}
		b.reports[name][part] = report
	}
	return nil
}

// conclude compares the model with the baselines; nil when there are no rows to do
// so.
func (b *baseline) conclude(model map[string]metrics.Report, rows int64, stop *spec.EarlyStopping) *Baseline {
	by := "log_loss"
	if b.target.Task() == metrics.Regression {
		by = b.loss.Metric()
	}
	wanted := []string{by}
	if stop != nil {
		wanted = []string{stop.Metric, by}
	}
	for i := len(measuredParts) - 1; i >= 0; i-- {
		for _, name := range wanted {
			out := &Baseline{Part: measuredParts[i].String(), Metric: name}
			if b.compare(out, model[measuredParts[i].String()]) {
				b.list(out, rows)
				return out
			}
		}
	}
	return nil
}

// compare finds the best baseline by a metric of a part; false when the metric is
// none of a report, as loss is not, or not defined.
func (b *baseline) compare(out *Baseline, model metrics.Report) bool {
	trained, err := model.Value(out.Metric)
	more, unknown := metrics.Maximize(out.Metric)
	if err != nil || unknown != nil {
		return false
	}
	better := func(a, b float64) bool { return more && a > b || !more && a < b }
	for _, name := range b.names() {
		v, err := b.reports[name][out.Part].Value(out.Metric)
		if err == nil && (out.Model == "" || better(v, out.Value)) {
			out.Model, out.Value = name, v
		}
	}
	out.Trained, out.Beaten = trained, better(trained, out.Value)
	return out.Model != ""
}

// list writes all baselines down.
func (b *baseline) list(out *Baseline, rows int64) {
	for _, name := range b.names() {
		m := BaselineModel{Model: name, Rows: rows, Metrics: map[string]map[string]float64{}}
		if name == linearModel {
			m.Rows = int64(b.rival.numRows)
		}
		for part, r := range b.reports[name] {
			m.Metrics[part] = values(r)
		}
		if v, err := b.reports[name][out.Part].Value(out.Metric); err == nil {
			m.Value = &v
		}
		if name == out.Model {
			out.Metrics = m.Metrics
		}
		out.Models = append(out.Models, m)
	}
}
