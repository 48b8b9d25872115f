package features

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// operations is the table of all operations. Package documentation says what
// each of them does.
func operations() map[string]operationDef {
	number := func(min, max int, build func(b *builder) operation) operationDef {
		return operationDef{min, max, data.Type.Numeric, "a number", build}
	}
	category := func(build func(b *builder) operation) operationDef {
		return operationDef{1, 1, func(t data.Type) bool { return t != data.Timestamp }, "a text, a number, a truth or a date", build}
	}
	table := map[string]operationDef{
		"standard_scale": number(1, 1, newStandardScale),
		"min_max_scale":  number(1, 1, newMinMaxScale),
		"robust_scale":   number(1, 1, newRobustScale),
		"clip":           number(1, 1, newClip),
		"interact":       number(2, anyNumber, newInteract),
		"quantile_bin":   number(1, 1, newQuantileBin),
		"ordinal_encode": category(newOrdinal),
		"impute": {1, 1, func(t data.Type) bool { return t.Numeric() || t == data.String },
			"a number or a text", newImpute},
		"log1p":            number(1, 1, newLog1p),
		"bin":              number(1, 1, newBin),
		"ratio":            number(2, 2, newRatio),
		"one_hot":          category(newOneHot),
		"frequency_encode": category(newFrequency),
		exprOp:             {1, anyNumber, func(data.Type) bool { return true }, "", newExpression},
		"target_encode":    category(newTargetEncode),
		"hash_encode": {1, anyNumber, func(t data.Type) bool { return t != data.Timestamp },
			"a text, a number, a truth or a date", newHashEncode},
		"datetime": {1, 1, func(t data.Type) bool { return t == data.Timestamp || t == data.Date },
			"a timestamp or a date", newDatetime},
	}
	for _, op := range window.Operations() {
		table[op] = operationDef{1, 1, func(data.Type) bool { return true }, "a column", newWindow(op)}
	}
	return table
}
