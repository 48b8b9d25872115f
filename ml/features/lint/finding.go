package lint

import (
	"cmp"
	"slices"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // what the model is measured by cannot be true
	Warning Severity = "warning" // it may be so; somebody should look
)

// Finding is one thing that is wrong with a job.
type Finding struct {
	Code     string             `json:"code"` // such as TL008; it never changes its meaning
	Name     string             `json:"name"` // such as too-good
	Severity Severity           `json:"severity"`
	Job      string             `json:"job"`               // such as train "fraud"
	Column   string             `json:"column,omitempty"`  // of the job's input
	Features []string           `json:"features"`          // that are concerned; none when the whole job is
	Evidence string             `json:"evidence"`          // what was seen, for people
	Values   map[string]float64 `json:"values,omitempty"`  // the same as numbers
	Related  []string           `json:"related,omitempty"` // other columns that play a part
	Fix      string             `json:"fix"`
}

// Rule is something that is looked for.
type Rule struct {
	Code string `json:"code"`
	Name string `json:"name"`
	What string `json:"what"`
	Data bool   `json:"data"` // it looks at rows, not only at specs
}

// The codes. They are a contract: none ever changes its meaning.
const (
	TargetInFeature   = "TL001"
	TargetHistory     = "TL002"
	FitOnAll          = "TL003"
	WindowOrder       = "TL004"
	WindowAcrossSplit = "TL005"
	EntityOverlap     = "TL006"
	EqualRows         = "TL007"
	TooGood           = "TL008"
	TargetSum         = "TL009"
	MissingTells      = "TL010"
	LaterTime         = "TL011"
	IDLike            = "TL012"
	Constant          = "TL013"
	Duplicate         = "TL014"
)

// Rules returns every rule, by code.
func Rules() []Rule {
	return []Rule{
		{TargetInFeature, "target-in-feature", "a feature is computed from the target of its own row", false},
		{TargetHistory, "target-history", "a feature is computed from the target of earlier rows", false},
		{FitOnAll, "fit-on-all", "features have learned from all rows, and their output is split into training and test rows afterwards", false},
		{WindowOrder, "window-order", "windows follow one column, the split by time another", false},
		{WindowAcrossSplit, "window-across-split", "windows reach from rows of one part of the split into another", false},
		{EntityOverlap, "entity-overlap", "the same entity is in training and in test rows", true},
		{EqualRows, "equal-rows", "many rows of test or validation are equal to a training row", true},
		{TooGood, "too-good", "one column alone predicts the target too well to be true", true},
		{TargetSum, "target-sum", "the target is the sum or the difference of two columns", true},
		{MissingTells, "missing-tells", "whether a column is missing tells the target", true},
		{LaterTime, "later-time", "a column holds times after the row's own", true},
		{IDLike, "id-like", "a column names rows rather than describing them", true},
		{Constant, "constant", "a column is the same in all rows", true},
		{Duplicate, "duplicate", "two columns are equal in all rows", true},
	}
}

// Codes returns the codes of all rules.
func Codes() []string {
	var out []string
	for _, r := range Rules() {
		out = append(out, r.Code)
	}
	return out
}

// nameOf returns the name of a code.
func nameOf(code string) string {
	for _, r := range Rules() {
		if r.Code == code {
			return r.Name
		}
	}
	return ""
}

// found adds a finding to others.
func found(to *[]Finding, code string, severity Severity, job string, f Finding) {
	f.Code, f.Name, f.Severity, f.Job = code, nameOf(code), severity, job
	if f.Features == nil {
		f.Features = []string{}
	}
	*to = append(*to, f)
}

// Sort brings findings into the order in which they are told: errors first, then
// by code and column.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Column, b.Column))
	})
}
