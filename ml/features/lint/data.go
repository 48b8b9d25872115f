package lint

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/window"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// Bounds of what is found.
const (
	leastRows     = 100   // below, nothing is said about how a column goes with the target
	leastOfClass  = 20    // rows of the rarer class, of two
	suspicious    = 0.97  // AUC, or the like, that somebody should look at
	incredible    = 0.99  // that cannot be true
	pureShare     = 0.999 // of one class
	pureRows      = 30
	pureChance    = 1e-6 // that so many rows are of one class by chance
	laterShare    = 0.01 // of the rows whose time can be compared
	laterRows     = 10
	idShare       = 0.95 // of the texts are in one row only
	idDistinct    = 0.85 // texts for each row, as far as can be estimated
	idRows        = 100
	idNumberRows  = 1000
	overlapShare  = 0.01 // of the rows that are not training rows
	equalShare    = 0.10 // of the rows that are not training rows
	equalByChance = 1e-3 // rows that would be equal if columns had nothing to do with each other
)

// Check applies the rules that need rows. The association may be nil.
func Check(p *Profile, a *Association) []Finding {
	var out []Finding
	if p.rows == 0 {
		return nil
	}
	constant := p.constants(&out)
	p.duplicates(&out, constant)
	p.ids(&out, constant)
	p.laterTimes(&out)
	p.overlaps(&out)
	p.sums(&out, constant)
	if a != nil && a.enough() {
		for _, t := range a.tables {
			if !slices.Contains(constant, p.columns[t.at].field.Name) {
				a.judge(&out, t)
			}
		}
	}
	return out
}

// constants returns the columns that have one value.
func (p *Profile) constants(to *[]Finding) (names []string) {
	for _, c := range p.columns {
		var evidence string
		switch {
		case c.missing == p.rows:
			evidence = fmt.Sprintf("no value in %d rows", p.rows)
		case c.missing == 0 && c.values.distinct() == 1 && p.rows > 1:
			evidence = fmt.Sprintf("one value in all %d rows", p.rows)
		default:
			continue
		}
		if p.target != nil {
			evidence += " that have a target"
		}
		names = append(names, c.field.Name)
		found(to, Constant, Warning, p.subject.Job, Finding{Column: c.field.Name, Features: c.use.features(), Evidence: evidence,
			Values: map[string]float64{"rows": float64(p.rows)}, Fix: "leave the column out; or find out why the data lack its other values"})
	}
	return names
}

// duplicates looks for columns that are equal in every row.
func (p *Profile) duplicates(to *[]Finding, constant []string) {
	first := map[digest]*column{}
	for _, c := range p.columns {
		if slices.Contains(constant, c.field.Name) {
			continue
		}
		other := first[c.content]
		if other == nil {
			first[c.content] = c
			continue
		}
		found(to, Duplicate, Warning, p.subject.Job, Finding{Column: c.field.Name, Features: c.use.features(), Related: []string{other.field.Name},
			Evidence: fmt.Sprintf("equal to %q in all %d rows", other.field.Name, p.rows), Values: map[string]float64{"rows": float64(p.rows)},
			Fix: "leave one of the two out"})
	}
}

// ids looks for columns that name rows.
func (p *Profile) ids(to *[]Finding, constant []string) {
	for _, c := range p.columns {
		rows := p.rows - c.missing
		if rows < idRows || slices.Contains(constant, c.field.Name) || !c.takenAsValue() {
			continue
		}
		distinct := min(c.values.distinct(), float64(rows))
		single := c.singles()
		if !c.namesRows(rows, distinct, single) {
			continue
		}
		found(to, IDLike, Warning, p.subject.Job, Finding{Column: c.field.Name, Features: c.use.features(),
			Evidence: fmt.Sprintf("about %.0f distinct values in %d rows, %.1f%% of them in one row only", distinct, rows, 100*single),
			Values:   map[string]float64{"rows": float64(rows), "distinct": distinct, "single_share": single},
			Fix:      "leave it out of the features (keep copies it to the output); what it names is better described by other columns"})
	}
}

// takenAsValue reports whether some feature takes the column's values as they
// are: not a part of a time or a text, and not where missing values are replaced.
func (c *column) takenAsValue() bool {
	not := append([]string{"expr", "datetime", "impute"}, window.Operations()...)
	return slices.ContainsFunc(c.use.direct, func(op string) bool { return !slices.Contains(not, op) })
}

// singles returns the share of the distinct values that occur once.
func (c *column) singles() float64 {
	c.values.prune()
	once := 0
	for _, n := range c.values.kept {
		if *n == 1 {
			once++
		}
	}
	return float64(once) / float64(max(len(c.values.kept), 1))
}

// namesRows judges a column by how many distinct values it has. Numbers that
// measure something may all differ, too: those that name rows follow each other
// without gaps, or are whole and never the same twice.
func (c *column) namesRows(rows int64, distinct, single float64) bool {
	switch c.field.Type {
	case data.String:
		return distinct >= idDistinct*float64(rows) && single >= idShare
	case data.Int32, data.Int64:
		span := c.high - c.low + 1
		dense := span <= 1.05*float64(rows)
		return single >= pureShare && distinct >= idDistinct*float64(rows) && (dense || rows >= idNumberRows)
	}
	return false
}

// laterTimes looks for times after the row's own.
func (p *Profile) laterTimes(to *[]Finding) {
	for _, c := range p.columns {
		if c.later < laterRows || float64(c.later) < laterShare*float64(c.compared) || len(c.use.now) == 0 {
			continue
		}
		share := float64(c.later) / float64(c.compared)
		found(to, LaterTime, Warning, p.subject.Job, Finding{Column: c.field.Name, Features: c.use.now, Related: []string{p.clock.Name},
			Evidence: fmt.Sprintf("later than %q in %d of %d rows (%.1f%%)", p.clock.Name, c.later, c.compared, 100*share),
			Values:   map[string]float64{"later": float64(c.later), "rows": float64(c.compared), "share": share},
			Fix:      "leave it out, unless the time is planned and so known before; or let the timestamp be when everything is known"})
	}
}

// overlaps looks for what training rows and others have in common.
func (p *Profile) overlaps(to *[]Finding) {
	if p.entities != nil {
		if share, rows := shared(p.entities); share >= overlapShare && rows >= pureRows {
			name := p.entity.String()
			fix := fmt.Sprintf("split by hash (column: %s), so that all rows of one %s stay together; or by time, if its earlier rows are there to be learned from", strings.Join(p.entity, " or "), name)
			found(to, EntityOverlap, Warning, p.subject.Job, Finding{Column: name,
				Evidence: fmt.Sprintf("%.1f%% of the rows of validation and test are of a %q that has training rows, too", 100*share, name),
				Values:   map[string]float64{"share": share}, Fix: fix})
		}
	}
	if p.records == nil {
		return
	}
	share, rows := shared(p.records)
	if share < equalShare || rows < pureRows {
		return
	}
	if chance := p.equalByChance(); chance < equalByChance {
		found(to, EqualRows, Warning, p.subject.Job, Finding{
			Evidence: fmt.Sprintf("%.1f%% of the rows of validation and test are equal to a training row in all columns that are used, and in the target; by chance it would be %.2g of a row", 100*share, chance),
			Values:   map[string]float64{"share": share, "by_chance": chance},
			Fix:      "remove the copies, or split by something that equal rows have in common (by: hash)"})
	}
}

// shared returns the share of the rows that are not training rows, whose thing
// has training rows, and how many such rows were looked at.
func shared(s *sample[parts]) (share float64, rows int64) {
	s.prune()
	var all, both int64
	for _, n := range s.kept {
		all += n.others
		if n.train > 0 {
			both += n.others
		}
	}
	return float64(both) / float64(max(all, 1)), all
}

// equalByChance returns how many rows would be equal to a given one if the
// columns had nothing to do with each other, by a sample of rows that differ.
func (p *Profile) equalByChance() float64 {
	p.rowed.prune()
	seen := map[string]bool{}
	var rows []row
	for _, h := range slices.Sorted(maps.Keys(p.rowed.kept)) {
		r := *p.rowed.kept[h]
		if key := fmt.Sprint(r); !seen[key] {
			seen[key] = true
			rows = append(rows, r)
		}
	}
	n := float64(len(rows))
	expected := float64(p.rows)
	for i := range p.columns {
		counts := map[uint64]float64{}
		for _, r := range rows {
			counts[math.Float64bits(r[i])]++
		}
		pairs := 0.0
		for _, k := range counts {
			pairs += float64(k * (k - 1))
		}
		expected *= pairs / max(n*(n-1), 1)
	}
	return expected
}

// sums looks for pairs of columns that make the target.
func (p *Profile) sums(to *[]Finding, constant []string) {
	if p.target == nil || !p.target.isLinear || p.rows < leastRows {
		return
	}
	var zero digest
	by := map[digest]*column{}
	var among []*column
	for _, c := range p.columns {
		usable := c.isLinear && len(c.use.now) > 0 && c.field.Type.Numeric() && c.linear != zero
		if usable && !slices.Contains(constant, c.field.Name) {
			among = append(among, c)
			by[c.linear] = c
		}
	}
	t := p.target.linear
	tell := func(a, b *column, sign string) {
		features := slices.Concat(a.use.now, b.use.now)
		slices.Sort(features)
		found(to, TargetSum, Error, p.subject.Job, Finding{Column: a.field.Name, Related: []string{b.field.Name}, Features: slices.Compact(features),
			Evidence: fmt.Sprintf("%s = %s %s %s in all %d rows", p.target.field.Name, a.field.Name, sign, b.field.Name, p.rows),
			Values:   map[string]float64{"rows": float64(p.rows)}, Fix: "leave the columns out: together they are the target"})
	}
	for i, a := range among {
		if b := by[t.minus(a.linear)]; b != nil && slices.Index(among, b) > i {
			tell(a, b, "+")
		}
		if b := by[a.linear.minus(t)]; b != nil && b != a {
			tell(a, b, "-")
		}
	}
}

// enough reports whether there are rows to judge by.
func (a *Association) enough() bool {
	if a.rows < leastRows {
		return false
	}
	if a.task == metrics.Binary {
		for _, c := range a.profile.target.classes {
			if c.rows < leastOfClass {
				return false
			}
		}
	}
	return true
}

// judge applies the rules about one column and the target.
func (a *Association) judge(to *[]Finding, t *table) {
	c := a.profile.columns[t.at]
	if a.classes != nil && a.missingTells(to, t, c) {
		return
	}
	v := t.strength(a)
	if v < suspicious {
		return
	}
	severity := Warning
	if v >= incredible {
		severity = Error
	}
	evidence := fmt.Sprintf("%s of this column alone is %.4f", measures[a.task].says, v)
	if c.content == a.profile.target.content {
		evidence = "equal to the target in all rows; " + evidence
	}
	found(to, TooGood, severity, a.profile.subject.Job, Finding{Column: c.field.Name, Features: c.use.now,
		Evidence: evidence, Values: map[string]float64{measures[a.task].key: v, "rows": float64(a.rows)},
		Fix: "find out when the value is known: if only after the target is, or because of it, leave it out"})
}

// measures are what strength is called.
var measures = map[metrics.Task]struct{ key, says string }{
	metrics.Binary:     {"auc", "the AUC"},
	metrics.Multiclass: {"errors_avoided", "the share of the majority's mistakes avoided by means"},
	metrics.Regression: {"r2_of_ranks", "the R2 of the ranks"},
}

// missingTells looks at what missing values say, and reports whether they say
// it all.
func (a *Association) missingTells(to *[]Finding, t *table, c *column) bool {
	without, with := t.missing(a)
	n, m := total(without), total(with)
	if n == 0 || m == 0 {
		return false
	}
	missing, there := a.pure(without), a.pure(with)
	if missing < 0 && there < 0 {
		return false
	}
	say := func(state string, rows int64, class int) string {
		return fmt.Sprintf("in all of the %d rows where it is %s, the target is %s", rows, state, a.className(class))
	}
	evidence, severity, all := "", Warning, missing >= 0 && there >= 0 && missing != there
	switch {
	case all:
		evidence, severity = say("missing", n, missing)+", and "+say("there", m, there), Error
	case missing >= 0:
		evidence = say("missing", n, missing)
	default:
		evidence = say("there", m, there)
	}
	found(to, MissingTells, severity, a.profile.subject.Job, Finding{Column: c.field.Name, Features: c.use.now, Evidence: evidence,
		Values: map[string]float64{"missing": float64(n), "there": float64(m)},
		Fix:    "leave it out if it is filled in, or cleared, because of what the target says"})
	return all
}

// pure returns the class that as good as all of some rows have, if that cannot be
// chance; -1 if there is none.
func (a *Association) pure(counts []int64) int {
	n := total(counts)
	class := slices.Index(counts, slices.Max(counts))
	if n < pureRows || float64(counts[class]) < pureShare*float64(n) {
		return -1
	}
	usual := float64(a.profile.target.classes[a.profile.target.ordered()[class]].rows) / float64(a.profile.rows)
	if float64(n)*math.Log(usual) > math.Log(pureChance) {
		return -1
	}
	return class
}

func total(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// className writes a class as people know it.
func (a *Association) className(class int) string {
	t := a.profile.target
	one := t.classes[t.ordered()[class]]
	switch {
	case t.field.Type == data.String:
		return fmt.Sprintf("%q", one.name)
	case t.field.Type == data.Bool:
		return fmt.Sprint(one.value != 0)
	}
	return fmt.Sprint(one.value)
}
