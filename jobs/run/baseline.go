package run

import (
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// Baseline is how good a model is that looks at no feature, and whether the one
// that was trained is better.
type Baseline struct {
	// Model is prior, the shares of the classes among the training rows, or mean,
	// the mean of their targets.
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
	target  *features.Target
	reports map[string]metrics.Report // by part
}

func newBaseline(t *features.Target) *baseline {
	return &baseline{target: t, reports: map[string]metrics.Report{}}
}

// add measures the baseline on a part that a model was measured on. That of
// classes predicts the same for every row, so how many there are of each is all
// that matters.
func (b *baseline) add(part string, g *grader) error {
	if b.target.Task() != metrics.Regression {
		p := prior(b.target)
		for label := range p {
			var rows int64
			for called := range p {
				rows += g.all.Confusion().Count(label, called)
			}
			if err := g.simple.ObserveClassTimes(label, p, rows); err != nil {
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
