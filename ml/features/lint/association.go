package lint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// Association is how the target goes with each column, taken alone: for each bin
// of numbers, or each text, and each of two halves of the rows, what targets
// there were. Everything is whole numbers, so rows may come in any order. It is
// not safe for concurrent use.
type Association struct {
	profile *Profile
	task    metrics.Task
	classes map[uint64]int // of a class' key, its place
	width   int            // numbers for each bin and half
	ranks   []float64      // of a regression: values of the target, ascending
	tables  []*table
	rows    int64
	scratch cells
	target  cells
	goal    []int // of each row, its class or rank
	half    []uint8
}

// table is one column's.
type table struct {
	at     int            // among the profile's columns
	edges  []float64      // of a number: where bins but the first begin, ascending
	texts  map[uint16]int // of a text: the bin of a group of hashes
	always int            // bins that there are from the start: that of missing values, and those of numbers
	counts []int64        // by bin, half and class; or by bin, half and number of rows, sum and sum of squares of ranks
}

// Bins of numbers: so many at most, and not so many that their rows tell nothing.
const (
	maxBins    = 256
	minBins    = 16
	rowsPerBin = 12
	halves     = 2
)

// Association returns what a second pass over the same rows has to fill; nil
// when there is no target, or none that can be judged by.
func (p *Profile) Association() *Association {
	if p.target == nil || p.rows == 0 {
		return nil
	}
	a := &Association{profile: p, task: p.target.kind(), width: 3}
	switch a.task {
	case "":
		return nil
	case metrics.Regression:
		a.ranks = p.drawn(len(p.columns))
		slices.Sort(a.ranks)
	default:
		keys := p.target.ordered()
		a.classes, a.width = map[uint64]int{}, len(keys)
		for i, k := range keys {
			a.classes[k] = i
		}
	}
	for i, c := range p.columns {
		if len(c.use.now) == 0 { // the target tells nothing of its own row
			continue
		}
		t := &table{at: i, always: 1}
		switch {
		case timely(c.field.Type): // no feature takes the time itself
			t.always = 2
		case c.field.Type == data.String:
			t.texts = map[uint16]int{}
		default:
			t.edges = edgesOf(p.drawn(i))
			t.always = 2 + len(t.edges)
		}
		t.counts = make([]int64, t.always*halves*a.width)
		a.tables = append(a.tables, t)
	}
	return a
}

// edgesOf returns where bins begin: at every value if they are few, else at
// quantiles of them.
func edgesOf(values []float64) []float64 {
	values = slices.DeleteFunc(values, math.IsNaN)
	slices.Sort(values)
	bins := min(max(len(values)/rowsPerBin, minBins), maxBins)
	distinct := slices.Compact(slices.Clone(values))
	if len(distinct) <= bins {
		return distinct
	}
	var edges []float64
	for k := 1; k < bins; k++ {
		edges = append(edges, values[k*len(values)/bins])
	}
	return slices.Compact(edges)
}

// Columns returns the columns that have to be read.
func (a *Association) Columns() []string {
	out := []string{a.profile.target.field.Name}
	for _, t := range a.tables {
		out = append(out, a.profile.columns[t.at].field.Name)
	}
	return out
}

// Observe adds the rows of a batch.
func (a *Association) Observe(b *data.Batch, numbers []int64) {
	from := b.Column(a.profile.target.field.Name)
	a.target.read(from)
	a.goal, a.half = resize(a.goal, b.NumRows), resize(a.half, b.NumRows)
	m := rng.NewMixer(foldSeed, 0)
	for i := range b.NumRows {
		a.half[i] = uint8(m.Mix(uint64(numbers[i])) & 1)
		a.goal[i] = -1
		if a.target.missing[i] {
			continue
		}
		a.rows++
		if a.classes == nil {
			a.goal[i] = a.rank(a.target.numbers[i])
		} else if class, ok := a.classes[a.target.keys[i]]; ok {
			a.goal[i] = class
		}
	}
	for _, t := range a.tables {
		a.scratch.read(b.Column(a.profile.columns[t.at].field.Name))
		t.observe(a, &a.scratch)
	}
}

// rank is the place of a value among those of the target, twice: of values that
// occur often, the middle.
func (a *Association) rank(v float64) int {
	low := sort.SearchFloat64s(a.ranks, v)
	high := low
	for high < len(a.ranks) && a.ranks[high] == v {
		high++
	}
	return low + high
}

func (t *table) observe(a *Association, x *cells) {
	for i, goal := range a.goal {
		if goal < 0 {
			continue
		}
		at := (t.bin(a, x, i)*halves + int(a.half[i])) * a.width
		if a.classes != nil {
			t.counts[at+goal]++
			continue
		}
		t.counts[at]++
		t.counts[at+1] += int64(goal)
		t.counts[at+2] += int64(goal) * int64(goal)
	}
}

// bin returns the bin of a row: 0 when the value is missing.
func (t *table) bin(a *Association, x *cells, i int) int {
	switch {
	case x.missing[i]:
		return 0
	case t.texts == nil:
		place, found := slices.BinarySearch(t.edges, x.numbers[i])
		if found {
			place++
		}
		return 1 + place
	}
	group := uint16(x.keys[i] >> 48)
	bin, ok := t.texts[group]
	if !ok {
		bin = t.add(a, group)
	}
	return bin
}

// add makes a bin for a group of texts.
func (t *table) add(a *Association, group uint16) int {
	bin := t.always + len(t.texts)
	t.texts[group] = bin
	t.counts = append(t.counts, make([]int64, halves*a.width)...)
	return bin
}

// Merge adds what o, of the same profile, has seen of other rows.
func (a *Association) Merge(o *Association) {
	a.rows += o.rows
	for i, t := range a.tables {
		from := o.tables[i]
		n := halves * a.width
		for k := range from.always * n {
			t.counts[k] += from.counts[k]
		}
		for group, bin := range from.texts {
			into, ok := t.texts[group]
			if !ok {
				into = t.add(a, group)
			}
			for k := range n {
				t.counts[into*n+k] += from.counts[bin*n+k]
			}
		}
	}
}

// bins returns all bins in an order that does not depend on that of the rows, as
// sums of floating-point numbers do on theirs.
func (t *table) bins() []int {
	out := make([]int, t.always, t.always+len(t.texts))
	for i := range out {
		out[i] = i
	}
	for _, group := range slices.Sorted(maps.Keys(t.texts)) {
		out = append(out, t.texts[group])
	}
	return out
}

// of returns the counts of a bin and half.
func (t *table) of(a *Association, bin, half int) []int64 {
	at := (bin*halves + half) * a.width
	return t.counts[at : at+a.width]
}

// missing returns the targets of rows without and with a value, of classes.
func (t *table) missing(a *Association) (without, with []int64) {
	without, with = make([]int64, a.width), make([]int64, a.width)
	for _, bin := range t.bins() {
		into := with
		if bin == 0 {
			into = without
		}
		for half := range halves {
			for k, n := range t.of(a, bin, half) {
				into[k] += n
			}
		}
	}
	return without, with
}

// strength says how well a column alone predicts the target, each row judged by
// what the other half of the rows teaches, so that many values that occur once
// teach nothing: the area under the curve of a binary target, the share of the
// majority's mistakes that are avoided of several classes, the share of the
// variance of the ranks of a number. It is 0 where that is not defined.
func (t *table) strength(a *Association) float64 {
	switch a.task {
	case metrics.Binary:
		return t.area(a)
	case metrics.Regression:
		return t.explained(a)
	}
	return t.avoided(a)
}

// whole returns the counts of a half over all bins.
func (t *table) whole(a *Association, half int) []int64 {
	out := make([]int64, a.width)
	for _, bin := range t.bins() {
		for k, n := range t.of(a, bin, half) {
			out[k] += n
		}
	}
	return out
}

// doubt is how many rows of the usual kind a bin's own are mixed with, so that few
// rows tell less than many.
const doubt = 2

// scored is the rows of a bin and a half: what is thought of them, and what they
// are.
type scored struct {
	score    float64
	pos, neg float64
}

// area is the AUC, by midranks.
func (t *table) area(a *Association) float64 {
	var all []scored
	for half := range halves {
		others := t.whole(a, 1-half)
		prior := float64(others[1]) / float64(max(others[0]+others[1], 1))
		for _, bin := range t.bins() {
			mine, theirs := t.of(a, bin, half), t.of(a, bin, 1-half)
			if mine[0]+mine[1] > 0 {
				score := (float64(theirs[1]) + float64(doubt*prior)) / (float64(theirs[0]+theirs[1]) + doubt)
				all = append(all, scored{score, float64(mine[1]), float64(mine[0])})
			}
		}
	}
	slices.SortFunc(all, func(x, y scored) int { return cmp.Compare(x.score, y.score) })
	var won, pos, neg float64
	for i := 0; i < len(all); {
		j, p, n := i, 0.0, 0.0
		for ; j < len(all) && all[j].score == all[i].score; j++ {
			p, n = p+all[j].pos, n+all[j].neg
		}
		won += float64(p * (neg + n/2))
		pos, neg, i = pos+p, neg+n, j
	}
	if pos == 0 || neg == 0 {
		return 0
	}
	return won / (pos * neg)
}

// avoided is 1 - mistakes / mistakes of whoever always says the most frequent
// class.
func (t *table) avoided(a *Association) float64 {
	var wrong, majority float64
	for half := range halves {
		others := t.whole(a, 1-half)
		usual := slices.Index(others, slices.Max(others))
		for _, bin := range t.bins() {
			mine, theirs := t.of(a, bin, half), t.of(a, bin, 1-half)
			said := usual
			if most := slices.Max(theirs); most > theirs[usual] {
				said = slices.Index(theirs, most)
			}
			for class, n := range mine {
				if class != said {
					wrong += float64(n)
				}
				if class != usual {
					majority += float64(n)
				}
			}
		}
	}
	if majority == 0 {
		return 0
	}
	return 1 - wrong/majority
}

// explained is 1 - the squares of what is left of the ranks / those of the ranks.
func (t *table) explained(a *Association) float64 {
	var left, all float64
	for half := range halves {
		others := t.whole(a, 1-half)
		mean := float64(others[1]) / float64(max(others[0], 1))
		for _, bin := range t.bins() {
			mine, theirs := t.of(a, bin, half), t.of(a, bin, 1-half)
			guess := mean
			if theirs[0] > 0 {
				guess = float64(theirs[1]) / float64(theirs[0])
			}
			left += squares(mine, guess)
			all += squares(mine, mean)
		}
	}
	if all == 0 {
		return 0
	}
	return 1 - left/all
}

// squares adds up the squares of the distances from a guess.
func squares(c []int64, guess float64) float64 {
	n, sum, square := float64(c[0]), float64(c[1]), float64(c[2])
	return square - float64(2*guess*sum) + float64(guess*guess*n)
}
