package run

import (
	"maps"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// lossOf returns how rows count while training, where the classes are known by
// number. A weight of a class that no training row has is of kind Invalid: its
// name is most likely wrong.
func lossOf(t *spec.Train, classes []string) (neural.Loss, error) {
	l := neural.Loss{LabelSmoothing: t.LabelSmoothing}
	if t.ClassWeights == nil {
		return l, nil
	}
	if l.Balanced = t.ClassWeights.Balanced; l.Balanced {
		return l, nil
	}
	l.ClassWeights = slices.Repeat([]float64{1}, len(classes))
	for _, name := range slices.Sorted(maps.Keys(t.ClassWeights.Of)) {
		i := slices.Index(classes, name)
		if i < 0 {
			return l, fault.New(fault.Invalid, "class_weights: %q is no class of the target %q: there are %s", name, t.Target, listed(classes))
		}
		l.ClassWeights[i] = t.ClassWeights.Of[name]
	}
	return l, nil
}
