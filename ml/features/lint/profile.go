package lint

import (
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
)

// Profile is what the rules need to know of the rows: a function of the multiset
// of rows and their numbers. It is not safe for concurrent use.
type Profile struct {
	subject *Subject
	columns []*column
	target  *target // nil when there is none
	rows    int64   // that have a target, or all without one

	clock    *data.Field // the timestamp of a row, if there is one
	entity   features.Entity
	entities *sample[parts] // nil when no split has to keep them apart
	records  *sample[parts] // of rows by their content
	rowed    *sample[row]   // rows to draw bins from

	salts   salts
	record  []uint64
	scratch []cells
}

// column is one column of a profile.
type column struct {
	field    data.Field
	use      *use
	missing  int64
	values   *sample[int64] // how often values occur
	low      float64        // of numbers
	high     float64
	content  digest
	linear   digest
	isLinear bool
	compared int64 // rows whose time can be compared with the row's own
	later    int64 // of these, with a later one
}

// parts counts rows of training and of validation and test together.
type parts struct{ train, others int64 }

// row is a row's values, of all columns and then of the target: numbers as they
// are, texts by their hash; NaN where none is there.
type row []float64

// NewProfile returns a profile of the columns of a job's input that it uses, which
// has seen no rows. The error is of kind Invalid: a column is not there.
func NewProfile(s *Subject) (*Profile, error) {
	input, uses := s.Schema, s.uses()
	p := &Profile{subject: s, rowed: newSample[row](sampledRows)}
	for _, f := range input.Fields {
		u := uses[f.Name]
		if u == nil || f.Name == s.Target {
			continue
		}
		p.columns = append(p.columns, &column{field: f, use: u, values: newSample[int64](sampledValues), isLinear: true, low: math.Inf(1), high: math.Inf(-1)})
	}
	if s.Target != "" {
		i := input.Index(s.Target)
		if i < 0 {
			return nil, fault.New(fault.Invalid, "lint: target: there is no column %q", s.Target)
		}
		p.target = newTarget(input.Fields[i], s.Task)
	}
	from := s.source()
	if i := input.Index(from.Timestamp); i >= 0 && timely(input.Fields[i].Type) {
		p.clock = &input.Fields[i]
	}
	if s.Split != nil && s.Split.By != byTime {
		p.records = newSample[parts](sampledKeys)
		p.entity = from.Entity
		apart := s.Split.By == byHash && slices.Contains(p.entity, s.Split.Column) || s.Split.By == byColumn && from.Timestamp != ""
		lacks := slices.ContainsFunc(p.entity, func(name string) bool { return input.Index(name) < 0 })
		if !apart && len(p.entity) > 0 && !lacks {
			p.entities = newSample[parts](sampledKeys)
		}
	}
	return p, nil
}

func timely(t data.Type) bool { return t == data.Timestamp || t == data.Date }

// Columns returns the columns that have to be read.
func (p *Profile) Columns() []string {
	var out []string
	for _, c := range p.columns {
		out = append(out, c.field.Name)
	}
	more := []string{p.subject.Target}
	if p.clock != nil {
		more = append(more, p.clock.Name)
	}
	if p.entities != nil {
		more = append(more, p.entity...)
	}
	if s := p.subject.Split; s != nil && s.By != byTime && s.By != byRandom {
		more = append(more, s.Column)
	}
	for _, name := range more {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Observe adds the rows of a batch, whose numbers in the table are given. Rows
// without a target are passed over, as no model learns from them.
func (p *Profile) Observe(b *data.Batch, numbers []int64) error {
	parts, err := p.subject.Split.parts(b, numbers)
	if err != nil {
		return err
	}
	if b, numbers, parts = p.labelled(b, numbers, parts); b.NumRows == 0 {
		return nil
	}
	p.rows += int64(b.NumRows)
	p.salts.read(numbers)
	p.scratch = resize(p.scratch, len(p.columns)+2)
	p.record = resize(p.record, b.NumRows)
	clear(p.record)
	for i, c := range p.columns {
		from := b.Column(c.field.Name)
		x := &p.scratch[i]
		x.read(from)
		c.observe(x, &p.salts)
		c.compare(from, p.clockOf(b))
		p.remember(x)
	}
	last := &p.scratch[len(p.columns)]
	if p.target != nil {
		last.read(b.Column(p.target.field.Name))
		p.target.observe(b.Column(p.target.field.Name), last, &p.salts)
		p.remember(last)
	}
	p.sampleRows()
	if parts != nil {
		p.divide(b, parts)
	}
	return nil
}

// labelled returns the rows that have a target.
func (p *Profile) labelled(b *data.Batch, numbers []int64, of []split.Part) (*data.Batch, []int64, []split.Part) {
	if p.target == nil {
		return b, numbers, of
	}
	rows := p.target.known(b)
	if rows == nil {
		return b, numbers, of
	}
	kept := b.Keep(rows)
	var n []int64
	var q []split.Part
	for i := range b.NumRows {
		if rows.Get(i) {
			n = append(n, numbers[i])
			if of != nil {
				q = append(q, of[i])
			}
		}
	}
	return kept, n, q
}

func (p *Profile) clockOf(b *data.Batch) *data.Column {
	if p.clock == nil {
		return nil
	}
	return b.Column(p.clock.Name)
}

// remember adds a column to the hashes of the rows' contents.
func (p *Profile) remember(x *cells) {
	if p.records == nil {
		return
	}
	for i, k := range x.keys {
		p.record[i] = hashOf(p.record[i], k)
	}
}

// sampleRows keeps the values of some rows.
func (p *Profile) sampleRows() {
	width := len(p.columns) + 1
	for i, hash := range p.salts.a {
		r := p.rowed.at(hash)
		if r == nil {
			continue
		}
		*r = make(row, width)
		for c := range width {
			(*r)[c] = math.NaN()
			if c < len(p.columns) || p.target != nil {
				(*r)[c] = p.scratch[c].value(i)
			}
		}
	}
}

// value is a value as a row keeps it.
func (x *cells) value(i int) float64 {
	switch {
	case x.missing[i]:
		return math.NaN()
	case len(x.numbers) == 0:
		return float64(x.keys[i] >> 11)
	}
	return x.numbers[i]
}

// divide counts entities and contents of rows by part.
func (p *Profile) divide(b *data.Batch, of []split.Part) {
	count := func(s *sample[parts], hash uint64, part split.Part) {
		n := s.at(hash)
		switch {
		case n == nil:
		case part == split.Train:
			n.train++
		default:
			n.others++
		}
	}
	m := rng.NewMixer(recordSeed, 0)
	for i, h := range p.record {
		count(p.records, m.Mix(h), of[i])
	}
	if p.entities == nil {
		return
	}
	for i, k := range p.entityKeys(b) {
		if k != 0 {
			count(p.entities, m.Mix(k), of[i])
		}
	}
}

// entityKeys returns a word for whom each row belongs to; 0 for nobody. It is
// where the words of the rows' contents were.
func (p *Profile) entityKeys(b *data.Batch) []uint64 {
	x := &p.scratch[len(p.columns)+1]
	for c, name := range p.entity {
		x.read(b.Column(name))
		for i, k := range x.keys {
			switch {
			case x.missing[i] || c > 0 && p.record[i] == 0:
				p.record[i] = 0
			case c == 0:
				p.record[i] = hashOf(1, k)
			default:
				p.record[i] = hashOf(p.record[i], k)
			}
		}
	}
	return p.record
}

// hashOf adds a word to the hash of those before it.
func hashOf(before, word uint64) uint64 {
	h := (before^word)*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019
	return h ^ h>>29
}

func (c *column) observe(x *cells, s *salts) {
	m := rng.NewMixer(valueSeed, 0)
	for i, k := range x.keys {
		if x.missing[i] {
			c.missing++
			continue
		}
		if n := c.values.at(m.Mix(k)); n != nil {
			*n++
		}
	}
	for i, v := range x.numbers {
		if !x.missing[i] {
			c.low, c.high = min(c.low, v), max(c.high, v)
		}
	}
	c.content.add(s.content(x.keys))
	if c.isLinear {
		d, ok := s.linear(x)
		c.linear.add(d)
		c.isLinear = ok
	}
}

// compare counts how often a time is after the row's own.
func (c *column) compare(from, clock *data.Column) {
	if clock == nil || from == clock || !timely(c.field.Type) {
		return
	}
	days := from.Type == data.Date || clock.Type == data.Date
	for i := range from.Len() {
		if from.Valid.Get(i) && clock.Valid.Get(i) {
			c.compared++
			if instant(from, i, days) > instant(clock, i, days) {
				c.later++
			}
		}
	}
}

// instant is a time in microseconds, or in days.
func instant(c *data.Column, i int, days bool) int64 {
	const day = 86_400_000_000
	switch {
	case c.Type == data.Date:
		return int64(c.Int32s[i])
	case days:
		return int64(math.Floor(float64(c.Int64s[i]) / day))
	}
	return c.Int64s[i]
}

// Merge adds what o has seen of other rows.
func (p *Profile) Merge(o *Profile) {
	sum := func(into, from *parts) { into.train, into.others = into.train+from.train, into.others+from.others }
	for i, c := range p.columns {
		d := o.columns[i]
		c.missing, c.compared, c.later = c.missing+d.missing, c.compared+d.compared, c.later+d.later
		c.values.merge(d.values, func(into, from *int64) { *into += *from })
		c.low, c.high = min(c.low, d.low), max(c.high, d.high)
		c.content.add(d.content)
		c.linear.add(d.linear)
		c.isLinear = c.isLinear && d.isLinear
	}
	if p.target != nil {
		p.target.merge(o.target)
	}
	p.rows += o.rows
	p.rowed.merge(o.rowed, func(into, from *row) { *into = *from })
	if p.records != nil {
		p.records.merge(o.records, sum)
	}
	if p.entities != nil {
		p.entities.merge(o.entities, sum)
	}
}

// drawn returns the values of column i of the rows that were kept, in order of
// their hashes.
func (p *Profile) drawn(i int) []float64 {
	p.rowed.prune()
	out := make([]float64, 0, len(p.rowed.kept))
	for _, h := range slices.Sorted(maps.Keys(p.rowed.kept)) {
		out = append(out, (*p.rowed.kept[h])[i])
	}
	return out
}
