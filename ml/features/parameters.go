package features

import (
	"slices"

	"github.com/troupe-ml/troupe/ml/features/window"
)

// Parameters returns the names of an operation's parameters, so that a spec can be
// judged before its input is looked at; none for an operation that there is not.
func Parameters(op string) []string {
	switch op {
	case "min_max_scale":
		return []string{"range", "clip"}
	case "clip":
		return []string{"min", "max"}
	case "bin":
		return []string{"edges", "labels"}
	case "quantile_bin":
		return []string{"bins"}
	case "impute":
		return []string{"strategy", "value", "indicator"}
	case "one_hot":
		return []string{"min_count", "max_categories", "other"}
	case "frequency_encode":
		return []string{"normalize"}
	case "ordinal_encode":
		return []string{"order"}
	case "target_encode":
		return []string{"folds", "fold_by", "fold_column", "smoothing"}
	case "hash_encode":
		return []string{"buckets", "seed"}
	case "datetime":
		return []string{"parts", "cyclical", "time_zone"}
	case exprOp:
		return []string{"expr"}
	case window.Lag, window.Diff:
		return []string{"n"}
	}
	if slices.Contains(window.Operations(), op) {
		return []string{"window", "min_periods", "include_current"}
	}
	return nil
}
