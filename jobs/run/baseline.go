package run

import (
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Baseline is how good a model is that looks at no feature, and whether the one
// that was trained is better.
type Baseline struct {
	// Model is prior, the shares of the classes among the training rows, or mean,
	// the mean of their targets, each row as much as it weighs.
	Model string `json:"model"`
	// Part and Metric are what the two are compared by: the test rows, or else
	// those of validation; the metric that early stopping watches, or else
	// log_loss or rmse.
	Part    string                        `json:"part"`
	Metric  string                        `json:"metric"`
	Value   float64                       `json:"value"`   // of the baseline
	Trained float64                       `json:"trained"` // of the model
	Beaten  bool                          `json:"beaten"`  // whether the model is better
	Metrics map[string]map[string]float64 `json:"metrics"` // of the baseline, by part and name
}

// baseline gathers a Baseline.
type baseline struct {
	target   *features.Target
	constant constant
	reports  map[string]metrics.Report // by part
}

func newBaseline(t *features.Target, c constant) *baseline {
	return &baseline{target: t, constant: c, reports: map[string]metrics.Report{}}
}

// constant is what is predicted of every row by a model that looks at none.
type constant struct {
	prior []float64 // the shares of the classes among the training rows
	mean  float64   // of their targets, of a regression
}

// constantOf returns that of the rows that a target has learned from: as they are
// counted, or else from a table as they weigh.
func constantOf(t *features.Target, train models.Table) (constant, error) {
	if !train.Weighted {
		return constant{shares(t.ClassCounts()), t.Mean()}, nil
	}
	var all sketch.Sum
	sums := make([]sketch.Sum, max(len(t.Classes()), 1))
	err := eachWeight(train, func(y, w float64) {
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

// eachWeight calls fn with the target and the weight of every row of a table that
// has weights.
func eachWeight(t models.Table, fn func(y, w float64)) error {
	targets, weights := make([]float32, gradeBlock), make([]float32, gradeBlock)
	for first := 0; first < t.NumRows; first += gradeBlock {
		n := min(gradeBlock, t.NumRows-first)
		if err := t.Copy(first, nil, targets[:n], weights[:n]); err != nil {
			return err
		}
		for i, w := range weights[:n] {
			fn(float64(targets[i]), float64(w))
		}
	}
	return nil
}

// sumOfWeights returns what the rows of a table weigh together.
func sumOfWeights(t models.Table) (float64, error) {
	var all sketch.Sum
	err := eachWeight(t, func(_, w float64) { all.Add(w) })
	return all.Value(), err
}

// add measures the baseline on a part that a model was measured on. That of
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
	var err error
	b.reports[part], err = g.simple.Report()
	return err
}

// conclude compares the model with the baseline; nil when there are no rows to
// do so.
func (b *baseline) conclude(model map[string]metrics.Report, stop *spec.EarlyStopping) *Baseline {
	out := &Baseline{Model: "prior", Metrics: map[string]map[string]float64{}}
	by := "log_loss"
	if b.target.Task() == metrics.Regression {
		out.Model, by = "mean", "rmse"
	}
	for part, r := range b.reports {
		out.Metrics[part] = values(r)
	}
	wanted := []string{by}
	if stop != nil {
		wanted = []string{stop.Metric, by}
	}
	for i := len(measuredParts) - 1; i >= 0; i-- {
		out.Part = measuredParts[i].String()
		for _, name := range wanted {
			base, err1 := b.reports[out.Part].Value(name)
			trained, err2 := model[out.Part].Value(name)
			more, err3 := metrics.Maximize(name)
			if err1 != nil || err2 != nil || err3 != nil {
				continue // loss is no metric of a report, and others may not be defined
			}
			out.Metric, out.Value, out.Trained = name, base, trained
			out.Beaten = trained < base
			if more {
				out.Beaten = trained > base
			}
			return out
		}
	}
	return nil
}
