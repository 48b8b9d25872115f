package features

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// filler is what stands in for missing values: a number, or a text.
type filler struct {
	Number *float64 `json:"number,omitempty"`
	Text   *string  `json:"text,omitempty"`
}

// fill replaces missing values by a filler that is known.
type fill struct {
	fields []data.Field // the values; and truths that say which were missing
	with   filler
}

// impute replaces missing values by one that it learns.
type impute struct {
	fill
	strategy string
	fitted   bool
}

func newImpute(b *builder) operation {
	isText := b.in[0].Type == data.String
	f := fill{}
	field := b.field(data.Float64)
	if isText {
		field.Type = data.String
	}
	field.Nullable = false
	f.fields = []data.Field{field}
	if b.flag("indicator", false) {
		f.fields = append(f.fields, data.Field{Name: b.step.Name + "_missing", Type: data.Bool})
	}
	words := []string{"median", "mean", "mode", "constant"}
	if isText {
		words = []string{"mode", "constant"}
	}
	strategy := b.choice("strategy", words...)
	value, given := b.lookup("value")
	if strategy != "constant" {
		if given {
			b.fault("value: is only read with strategy: constant")
		}
		return impute{fill: f, strategy: strategy}
	}
	number, isNumber := toNumber(value)
	text, isString := value.(string)
	switch {
	case isText && isString:
		f.with.Text = &text
	case !isText && isNumber && finite(number):
		f.with.Number = &number
	default:
		b.fault("value: expected a finite number for numbers or a text for texts, found %v", value)
	}
	return f
}

func (o fill) outputs() []data.Field { return o.fields }

func (o fill) apply(in []*data.Column, numRows int) []*data.Column {
	c := in[0]
	valid := c.Valid
	if c.Type == data.Float64 || c.Type == data.Float32 {
		if values := floats(c); slices.ContainsFunc(values, isNaN) {
			valid = vector.Clear(valid, values, isNaN)
		}
	}
	out := []*data.Column{o.filled(c, valid, numRows)}
	if len(o.fields) > 1 {
		missing := make([]bool, numRows)
		if valid != nil {
			for i := range missing {
				missing[i] = !valid.Get(i)
			}
		}
		out = append(out, &data.Column{Type: data.Bool, Bools: missing})
	}
	return out
}

func isNaN(v float64) bool { return v != v }

func (o fill) filled(c *data.Column, valid data.Bitmap, numRows int) *data.Column {
	if c.Type == data.String {
		out := &data.Column{Type: data.String, Codes: c.Codes, Dict: c.Dict}
		if valid == nil {
			return out
		}
		code := slices.Index(c.Dict, *o.with.Text)
		if code < 0 {
			code = len(c.Dict)
			out.Dict = append(slices.Clone(c.Dict), *o.with.Text)
		}
		out.Codes = slices.Clone(c.Codes)
		for i := range out.Codes {
			if !valid.Get(i) {
				out.Codes[i] = uint32(code)
			}
		}
		return out
	}
	values := make([]float64, numRows)
	copy(values, floats(c))
	if valid != nil {
		for i := range values {
			if !valid.Get(i) {
				values[i] = *o.with.Number
			}
		}
	}
	return float64Column(values, nil)
}

func (o impute) summary() summary {
	switch {
	case o.fields[0].Type == data.String:
		return &counts{}
	case o.strategy == "mean":
		return &moments{}
	}
	return &quantiles{}
}

func (o impute) fit(s summary) (operation, error) {
	var number float64
	switch s := s.(type) {
	case *counts:
		if err := s.check(); err != nil {
			return nil, err
		}
		text := strings.Clone(s.values.MostFrequent()[0].Value)
		o.with.Text = &text
		o.fitted = true
		return o, nil
	case *moments:
		if s.N() == 0 {
			return nil, noValues("finite number")
		}
		number = s.Mean()
	case *quantiles:
		if s.N() == 0 {
			return nil, noValues("finite number")
		}
		number = s.Quantile(0.5)
		if o.strategy == "mode" {
			number = s.mode()
		}
	}
	o.with.Number, o.fitted = &number, true
	return o, nil
}

// mode returns the most frequent value, the smallest of equally frequent ones.
func (q *quantiles) mode() float64 {
	best, most := 0.0, int64(0)
	for v, n := range q.All() {
		if n > most {
			best, most = v, n
		}
	}
	return best
}

func (o impute) learned() any {
	if !o.fitted {
		return nil
	}
	return o.with
}

func (o impute) learn(raw []byte) (operation, error) {
	if err := json.Unmarshal(raw, &o.with); err != nil {
		return nil, err
	}
	isText := o.fields[0].Type == data.String
	if (o.with.Text != nil) != isText || (o.with.Number != nil) == isText {
		return nil, fault.New(fault.Corrupt, "what was learned is not sound: %s", raw[:min(len(raw), 100)])
	}
	o.fitted = true
	return o, nil
}
