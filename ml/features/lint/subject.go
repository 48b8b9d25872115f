package lint

import (
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/expr"
	"github.com/troupe-ml/troupe/ml/features/window"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// Subject is a job as the rules see it.
type Subject struct {
	Job       string          // for people, such as train "fraud"
	Target    string          // what is, or will be, predicted; "" when nobody has said
	Task      metrics.Task    // "" when nobody has said
	Entity    features.Entity // whom a row belongs to
	Timestamp string          // when a row was
	Steps     []features.Step
	Inputs    []string    // columns that the model reads as they are
	Include   []string    // features that the model reads; all when there are none
	Exclude   []string    // features that it does not
	Split     *Split      // nil of a job that does not split
	Made      *Subject    // the features job whose output is read, if it is known
	Schema    data.Schema // of the input; empty while it is not known
}

// Split is how a train job divides its rows.
type Split struct {
	By               string // time, hash, random or column
	Column           string
	Validation, Test float64
	Seed             uint64
}

// Ways to split.
const (
	byTime   = "time"
	byHash   = "hash"
	byRandom = "random"
	byColumn = "column"
)

// parts says which part every row of a batch belongs to: nil of a split by time,
// and without a split.
func (s *Split) parts(b *data.Batch, numbers []int64) ([]split.Part, error) {
	if s == nil || s.By == byTime {
		return nil, nil
	}
	parts := make([]split.Part, b.NumRows)
	switch s.By {
	case byHash:
		return parts, split.ByHash(s.Seed, s.Validation, s.Test, b.Column(s.Column), parts)
	case byColumn:
		return parts, split.ByName(b.Column(s.Column), parts)
	}
	for from := 0; from < len(parts); { // rows that are adjacent in the table
		to := from + 1
		for to < len(parts) && numbers[to] == numbers[to-1]+1 {
			to++
		}
		split.ByRandom(s.Seed, s.Validation, s.Test, numbers[from], parts[from:to])
		from = to
	}
	return parts, nil
}

// use is how a job uses a column of its input.
type use struct {
	now    []string // features that see the value of their own row
	past   []string // features that see earlier rows' values only
	direct []string // operations that read the column itself; raw for a model that does
}

// raw stands for a model that reads a column as it is.
const raw = "raw"

// features returns all features that use the column.
func (u *use) features() []string {
	out := slices.Concat(u.now, u.past)
	slices.Sort(out)
	return slices.Compact(out)
}

// readsOf returns the columns that a step reads.
func readsOf(s features.Step) []string {
	if s.Op != "expr" {
		return s.Of
	}
	text, _ := s.Params["expr"].(string)
	names, err := expr.Columns(text)
	if err != nil {
		return nil // whoever compiles the step says what is wrong with it
	}
	return names
}

// isWindow reports whether a step looks at other rows.
func isWindow(s features.Step) bool { return slices.Contains(window.Operations(), s.Op) }

// looksBackOnly reports whether a step sees earlier rows, but not its own.
func looksBackOnly(s features.Step) bool {
	current, _ := s.Params["include_current"].(bool)
	return isWindow(s) && s.Op != "diff" && !current
}

// origin is what a column made by a step comes from.
type origin struct{ now, past []string }

// uses returns how every column of the input is used.
func (s *Subject) uses() map[string]*use {
	out := map[string]*use{}
	at := func(column string) *use {
		if out[column] == nil {
			out[column] = &use{}
		}
		return out[column]
	}
	for _, name := range s.Inputs {
		u := at(name)
		u.now, u.direct = append(u.now, name), append(u.direct, raw)
	}
	made := map[string]origin{}
	for _, step := range s.Steps {
		var from origin
		for _, name := range readsOf(step) {
			o, ok := s.madeBy(name, made)
			if !ok {
				o = origin{now: []string{name}}
				at(name).direct = append(at(name).direct, step.Op)
			}
			from.now, from.past = append(from.now, o.now...), append(from.past, o.past...)
		}
		if looksBackOnly(step) {
			from = origin{past: append(from.past, from.now...)}
		}
		made[step.Name] = from
		if !s.sees(step.Name) {
			continue
		}
		for _, c := range from.now {
			at(c).now = append(at(c).now, step.Name)
		}
		for _, c := range from.past {
			at(c).past = append(at(c).past, step.Name)
		}
	}
	return out
}

// madeBy finds the step that makes a column: the one that is called so, or one
// whose columns begin with its name.
func (s *Subject) madeBy(name string, made map[string]origin) (origin, bool) {
	if o, ok := made[name]; ok {
		return o, true
	}
	if s.Schema.Index(name) >= 0 {
		return origin{}, false
	}
	for step, o := range made {
		if strings.HasPrefix(name, step+"_") {
			return o, true
		}
	}
	return origin{}, false
}

// windows returns the steps that look at other rows.
func (s *Subject) windows() []string {
	var out []string
	for _, step := range s.Steps {
		if isWindow(step) {
			out = append(out, step.Name)
		}
	}
	return out
}

// source is the job whose steps a job's features come from: itself, or the
// features job whose output it reads.
func (s *Subject) source() *Subject {
	if s.Made != nil {
		return s.Made
	}
	return s
}

// sees reports whether a model reads a feature, whose columns may begin with its
// name.
func (s *Subject) sees(feature string) bool {
	in := func(c string) bool { return c == feature || strings.HasPrefix(c, feature+"_") }
	return !slices.Contains(s.Exclude, feature) && (len(s.Include) == 0 || slices.ContainsFunc(s.Include, in))
}

// seen returns those of some features that a model reads.
func (s *Subject) seen(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(f string) bool { return !s.sees(f) })
}
