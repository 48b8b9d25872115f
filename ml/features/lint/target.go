package lint

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// maxClasses is how many classes of a target are told apart; one with more is a
// number, or is not judged by.
const maxClasses = 32

// target is what is to be predicted.
type target struct {
	field    data.Field
	task     metrics.Task
	classes  map[uint64]*class // nil when there are too many
	whole    bool              // all values are whole numbers
	content  digest
	linear   digest
	isLinear bool
	scratch  cells
}

// class is a value of the target.
type class struct {
	name  string // of a text
	value float64
	rows  int64
}

func newTarget(f data.Field, task metrics.Task) *target {
	return &target{field: f, task: task, classes: map[uint64]*class{}, whole: true, isLinear: true}
}

// known returns the rows of a batch that have a target; nil for all.
func (t *target) known(b *data.Batch) data.Bitmap {
	x := &t.scratch
	x.read(b.Column(t.field.Name))
	if !slices.Contains(x.missing, true) {
		return nil
	}
	rows := data.NewBitmap(b.NumRows)
	for i, m := range x.missing {
		if !m {
			rows.Set(i)
		}
	}
	return rows
}

func (t *target) observe(c *data.Column, x *cells, s *salts) {
	t.content.add(s.content(x.keys))
	if t.isLinear {
		d, ok := s.linear(x)
		t.linear.add(d)
		t.isLinear = ok
	}
	for i, k := range x.keys {
		if len(x.numbers) > 0 && x.numbers[i] != math.Trunc(x.numbers[i]) {
			t.whole = false
		}
		if t.classes == nil {
			continue
		}
		one := t.classes[k]
		if one == nil {
			one = &class{}
			if len(x.numbers) > 0 {
				one.value = x.numbers[i]
			} else {
				one.name = c.Dict[c.Codes[i]]
			}
			t.classes[k] = one
			if len(t.classes) > maxClasses {
				t.classes = nil
				continue
			}
		}
		one.rows++
	}
}

func (t *target) merge(o *target) {
	t.content.add(o.content)
	t.linear.add(o.linear)
	t.isLinear, t.whole = t.isLinear && o.isLinear, t.whole && o.whole
	if t.classes == nil || o.classes == nil {
		t.classes = nil
		return
	}
	for k, from := range o.classes {
		if into := t.classes[k]; into != nil {
			into.rows += from.rows
		} else {
			one := *from
			t.classes[k] = &one
		}
	}
	if len(t.classes) > maxClasses {
		t.classes = nil
	}
}

// kind returns the task: the one that was said or, when nobody has, what the
// values look like. None when nothing can be predicted.
func (t *target) kind() metrics.Task {
	const few = 20 // whole numbers, that are classes rather than amounts
	number := t.field.Type.Numeric() && t.field.Type != data.Bool
	n := len(t.classes)
	switch {
	case t.task == metrics.Regression || t.task == "" && number && (t.classes == nil || n > 2 && (!t.whole || n > few)):
		if !number {
			return ""
		}
		return metrics.Regression
	case n < 2:
		return ""
	case n == 2:
		return metrics.Binary
	}
	return metrics.Multiclass
}

// ordered returns the keys of the classes, in order of their values.
func (t *target) ordered() []uint64 {
	keys := slices.Collect(maps.Keys(t.classes))
	slices.SortFunc(keys, func(a, b uint64) int {
		x, y := t.classes[a], t.classes[b]
		return cmp.Or(cmp.Compare(x.value, y.value), cmp.Compare(x.name, y.name))
	})
	return keys
}
