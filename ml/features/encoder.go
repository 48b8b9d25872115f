package features

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/nearest"
)

const encoderVersion = 1

// Cut is how far from 0 an encoder lets standardised numbers be.
const Cut = 10

// EncoderConfig is how an Encoder treats texts.
type EncoderConfig struct {
	MinCount      int `json:"min_count"`      // rows to learn from that a text must have to get a column; at least 1
	MaxCategories int `json:"max_categories"` // the most texts of one column that get one
	// Coded are columns that become a single number each, the code of their
	// category, for a model that has a table of them; see Encoder.
	Coded []string `json:"coded,omitempty"`
}

// maxCodes is the most categories of a coded column.
const maxCodes = 100_000

// DefaultEncoderConfig returns 10 and 256.
func DefaultEncoderConfig() EncoderConfig { return EncoderConfig{MinCount: 10, MaxCategories: 256} }

// Encoder turns the columns of a table into the rows of finite numbers that a
// model of sums and products takes. It is immutable and safe for concurrent use.
//
// A number, or a truth as 0 or 1, becomes (x - mean) / std, cut to -10..10; null
// and NaN become the median of the rows learned from, and if there were any
// among these, one more column says with 1 or 0 whether x was one. Mean and
// standard deviation are those after nulls were replaced. Infinities have no
// part in what is learned, and are cut to 10 and -10. A column whose values are
// all equal becomes 0. The median is exact up to 65,536 distinct values, and
// less than 1 % off beyond.
//
// A text becomes a column of 0 and 1 for each of the most frequent texts, in
// their order, one for nulls if there were enough of them (MinCount), and one
// for all else, be it rare or never seen before.
//
// A coded column, of texts, whole numbers or truths, becomes one number: of the
// k categories that at least MinCount rows have (the 100,000 most frequent) the
// place in their order, from 0; of null k, and of all else k+1.
type Encoder struct {
	cfg     EncoderConfig
	columns []encoderColumn
	width   int
}

// encoderColumn is a column of the table, and what was learned of it; exactly
// one of Number and Text is set, once it is fitted.
type encoderColumn struct {
	Name       string       `json:"name"`
	Type       data.Type    `json:"type"`
	Number     *encodedNum  `json:"number,omitempty"`
	Text       *encodedText `json:"text,omitempty"`
	Coded      bool         `json:"coded,omitempty"`
	categories *categories
	at         int // its first feature
}

type encodedNum struct {
	Median  float64 `json:"median"`
	Mean    float64 `json:"mean"`
	Std     float64 `json:"std"`
	Missing bool    `json:"missing"` // there is a column for missing values
}

type encodedText struct {
	Categories []string `json:"categories"`
	Null       bool     `json:"null"` // nulls have a column of their own
}

// NewEncoder returns an encoder of columns, which has learned nothing yet. The
// error, of kind Invalid, names all columns that it does not take: timestamps
// and dates, which a datetime feature takes apart, and names given twice.
func NewEncoder(fields []data.Field, cfg EncoderConfig) (*Encoder, error) {
	c := &compiler{}
	if len(fields) == 0 {
		c.fault("there is no column to learn from")
	}
	if cfg.MinCount < 1 || cfg.MaxCategories < 1 {
		c.fault("min_count and max_categories must be at least 1, found %d and %d", cfg.MinCount, cfg.MaxCategories)
	}
	e := &Encoder{cfg: cfg}
	for _, f := range fields {
		if f.Type == data.Timestamp || f.Type == data.Date {
			c.fault("column %q is a %v, which a model cannot take; leave it out, or take it apart with a datetime feature", f.Name, f.Type)
		}
		if slices.ContainsFunc(e.columns, func(c encoderColumn) bool { return c.Name == f.Name }) {
			c.fault("column %q is given twice", f.Name)
		}
		coded := slices.Contains(cfg.Coded, f.Name)
		if coded && (f.Type == data.Float32 || f.Type == data.Float64) {
			c.fault("column %q is a %v, and an embedding takes texts, whole numbers or truths; give it bins, or remove it from embeddings", f.Name, f.Type)
		}
		e.columns = append(e.columns, encoderColumn{Name: f.Name, Type: f.Type, Coded: coded})
	}
	for _, name := range cfg.Coded {
		if !slices.ContainsFunc(e.columns, func(c encoderColumn) bool { return c.Name == name }) {
			hint := "mend its name, or the columns"
			if best := nearest.Word(name, e.Inputs()); best != "" {
				hint = fmt.Sprintf("did you mean %q?", best)
			}
			c.fault("an embedding is of column %q, which is not among those that the model learns from: %s; %s", name, strings.Join(e.Inputs(), ", "), hint)
		}
	}
	return e, c.err()
}

// Code is a coded column of a fitted encoder.
type Code struct {
	Column  string
	Feature int // its place in the rows that Encode writes
	Codes   int // how many there are; the last two are those of null and of all else
}

// Codes returns the coded columns, in their order.
func (e *Encoder) Codes() (all []Code) {
	for _, c := range e.columns {
		if c.Coded && c.Text != nil {
			all = append(all, Code{c.Name, c.at, len(c.Text.Categories) + 2})
		}
	}
	return all
}

// Ready reports whether the encoder is fitted.
func (e *Encoder) Ready() bool { return e.width > 0 }

// Inputs returns the columns that are encoded, in order.
func (e *Encoder) Inputs() []string {
	names := make([]string, len(e.columns))
	for i, c := range e.columns {
		names[i] = c.Name
	}
	return names
}

// number numbers the features.
func (e *Encoder) number() {
	e.width = 0
	for i := range e.columns {
		c := &e.columns[i]
		c.at = e.width
		e.width += len(c.features())
		if c.Text != nil {
			c.categories = newCategories(c.Type, c.Text.Categories)
		}
	}
}

// features names the features of a column.
func (c encoderColumn) features() []string {
	if c.Number != nil {
		if c.Number.Missing {
			return []string{c.Name, c.Name + " is missing"}
		}
		return []string{c.Name}
	}
	if c.Coded {
		return []string{c.Name + " as a code"}
	}
	var names []string
	for _, v := range c.Text.Categories {
		names = append(names, c.Name+"="+v)
	}
	if c.Text.Null {
		names = append(names, c.Name+" is missing")
	}
	return append(names, c.Name+" is other")
}

// NumFeatures returns the width of the rows that Encode writes; 0 before the
// encoder is fitted.
func (e *Encoder) NumFeatures() int { return e.width }

// FeatureNames returns what the columns of the rows are, for people: age, age is
// missing, city=Oslo, city is missing, city is other. Nil before the encoder is
// fitted.
func (e *Encoder) FeatureNames() []string {
	var names []string
	if e.Ready() {
		for _, c := range e.columns {
			names = append(names, c.features()...)
		}
	}
	return names
}

// Encode writes the rows of b to x, of shape (rows, features), row-major. What a
// row becomes does not depend on the rows beside it. The error is of kind
// Invalid: the encoder is not fitted, a column is missing or of another type, x
// is of another length.
func (e *Encoder) Encode(b *data.Batch, x []float32) error {
	if !e.Ready() {
		return fault.New(fault.Invalid, "encode: the encoder is not fitted")
	}
	if len(x) != b.NumRows*e.width {
		return fault.New(fault.Invalid, "encode: room for %d numbers, expected %d rows of %d", len(x), b.NumRows, e.width)
	}
	columns, err := encoderColumns(b, e.columns)
	if err != nil {
		return err
	}
	tables := make([][]uint32, len(columns))
	for i, c := range e.columns {
		if c.Text != nil && !c.Coded {
			tables[i] = c.categories.table(columns[i].Dict, uint32(len(c.features())-1))
		}
	}
	clear(x)
	const blockRows = 128 // whose rows of x stay in the cache while its columns are written
	values := make([]float64, min(blockRows, b.NumRows))
	for from := 0; from < b.NumRows; from += blockRows {
		rows := min(blockRows, b.NumRows-from)
		to := x[from*e.width : (from+rows)*e.width]
		for i, c := range e.columns {
			switch {
			case c.Coded: // below
			case c.Text != nil:
				c.encodeTexts(to, e.width, columns[i], tables[i], from, rows)
			case columns[i].Type == data.Bool:
				c.encodeTruths(to, e.width, columns[i].Bools[from:from+rows], columns[i].Valid, from)
			default:
				floatsAt(values[:rows], columns[i], from)
				c.encodeNumbers(to, e.width, values[:rows], columns[i].Valid, from)
			}
		}
	}
	for i, c := range e.columns {
		if c.Coded {
			c.encodeCodes(x, e.width, columns[i])
		}
	}
	return nil
}

func (c encoderColumn) encodeCodes(x []float32, width int, from *data.Column) {
	null := uint32(len(c.Text.Categories))
	places, valid := c.categories.rows(from, null+1)
	at := c.at
	for i, place := range places {
		if valid != nil && !valid.Get(i) {
			place = null
		}
		x[at] = float32(place)
		at += width
	}
}

func (c encoderColumn) encodeTexts(x []float32, width int, from *data.Column, table []uint32, first, rows int) {
	null := uint32(len(c.Text.Categories)) // also the place of all else, if nulls have none
	at := c.at
	for i, code := range from.Codes[first : first+rows] {
		place := table[code]
		if from.Valid != nil && !from.Valid.Get(first+i) {
			place = null
		}
		x[at+int(place)] = 1
		at += width
	}
}

// scaled standardises a number and cuts it.
func (n encodedNum) scaled(v float64) float32 {
	by := n.Std
	if by == 0 {
		by = math.Inf(1) // whatever is divided by it is 0
	}
	z := (v - n.Mean) / by
	switch {
	case z > Cut:
		return Cut
	case z < -Cut:
		return -Cut
	case z != z: // an infinity in a column of equal values
		return 0
	}
	return float32(z)
}

func (c encoderColumn) encodeNumbers(x []float32, width int, values []float64, valid data.Bitmap, first int) {
	n := *c.Number
	median := n.scaled(n.Median)
	at := c.at
	for i, v := range values {
		if v != v || valid != nil && !valid.Get(first+i) {
			x[at] = median
			if n.Missing {
				x[at+1] = 1
			}
		} else {
			x[at] = n.scaled(v)
		}
		at += width
	}
}

func (c encoderColumn) encodeTruths(x []float32, width int, truths []bool, valid data.Bitmap, first int) {
	n := *c.Number
	no, yes, median := n.scaled(0), n.scaled(1), n.scaled(n.Median)
	at := c.at
	for i, v := range truths {
		to := no
		if v {
			to = yes
		}
		if valid != nil && !valid.Get(first+i) {
			to = median
			if n.Missing {
				x[at+1] = 1
			}
		}
		x[at] = to
		at += width
	}
}

// encoderDocument is an encoder as JSON.
type encoderDocument struct {
	Version int             `json:"version"`
	Config  EncoderConfig   `json:"config"`
	Columns []encoderColumn `json:"columns"`
}

// MarshalJSON writes the encoder and what it has learned. Floats come back to
// the bit.
func (e *Encoder) MarshalJSON() ([]byte, error) {
	return json.Marshal(encoderDocument{encoderVersion, e.cfg, e.columns})
}

// UnmarshalJSON reads what MarshalJSON has written. The error is of kind
// Corrupt, and e is left as it was, when it is anything else.
func (e *Encoder) UnmarshalJSON(text []byte) error {
	var d encoderDocument
	if err := json.Unmarshal(text, &d); err != nil {
		return fault.New(fault.Corrupt, "features: read an encoder: %w", err)
	}
	if d.Version != encoderVersion {
		return fault.New(fault.Corrupt, "features: read an encoder: version %d, expected %d", d.Version, encoderVersion)
	}
	var fields []data.Field
	fitted := 0
	for _, c := range d.Columns {
		if c.Coded != slices.Contains(d.Config.Coded, c.Name) {
			return fault.New(fault.Corrupt, "features: read an encoder: column %q is coded or not", c.Name)
		}
		fields = append(fields, data.Field{Name: c.Name, Type: c.Type})
		if ok, sound := c.state(); !sound {
			return fault.New(fault.Corrupt, "features: read an encoder: what was learned of column %q is not sound", c.Name)
		} else if ok {
			fitted++
		}
	}
	got, err := NewEncoder(fields, d.Config)
	if err != nil {
		return fault.New(fault.Corrupt, "features: read an encoder: %w", err)
	}
	if fitted != 0 && fitted != len(d.Columns) {
		return fault.New(fault.Corrupt, "features: read an encoder: %d of %d columns are fitted", fitted, len(d.Columns))
	}
	if got.columns = d.Columns; fitted > 0 {
		got.number()
	}
	*e = *got
	return nil
}

// state reports whether the column is fitted, and whether that can be.
func (c encoderColumn) state() (fitted, sound bool) {
	switch {
	case c.Number == nil && c.Text == nil:
		return false, true
	case c.Text == nil:
		return true, c.Type != data.String && !c.Coded && finite(c.Number.Median, c.Number.Mean, c.Number.Std) && c.Number.Std >= 0
	case c.Number == nil:
		return true, (c.Type == data.String || c.Coded) && distinct(c.Text.Categories) && (!c.Coded || len(c.Text.Categories) <= maxCodes)
	}
	return false, false
}
