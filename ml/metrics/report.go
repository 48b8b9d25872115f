package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Value is one metric of a report.
type Value struct {
	Name      string
	Value     float64 // 0 when Undefined is set
	Undefined string  // why the metric has no value for these rows; empty when it has one
}

// Report is metrics by name, in the order of Task.Names. As JSON it is one
// object in that order, {"auc":0.91,"log_loss":0.3,"accuracy":0.85}, byte for
// byte the same for equal values; a metric that is not defined is null.
type Report []Value

// Value returns the metric called name. The error is of kind NotFound when the
// report has none of that name, and Invalid, with the reason, when the metric
// is not defined for the rows.
func (r Report) Value(name string) (float64, error) {
	for _, v := range r {
		if v.Name != name {
			continue
		}
		if v.Undefined != "" {
			return 0, fault.New(fault.Invalid, "metrics: %s", v.Undefined)
		}
		return v.Value, nil
	}
	return 0, fault.New(fault.NotFound, "metrics: no %q in the report, it has %v", name, r.names())
}

func (r Report) names() []string {
	names := make([]string, len(r))
	for i, v := range r {
		names[i] = v.Name
	}
	return names
}

// MarshalJSON writes the report as one object.
func (r Report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, v := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(v.Name)
		if err != nil {
			return nil, fmt.Errorf("metrics: report: %w", err)
		}
		b.Write(name)
		b.WriteByte(':')
		if v.Undefined != "" {
			b.WriteString("null")
			continue
		}
		number, err := json.Marshal(v.Value)
		if err != nil {
			return nil, fmt.Errorf("metrics: report: %s: %w", v.Name, err)
		}
		b.Write(number)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON has written, keeping the order. Of a
// metric that is not defined the reason is lost.
func (r *Report) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fault.New(fault.Corrupt, "metrics: report: expected an object of numbers, got %.40q", b)
	}
	report := Report{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fault.New(fault.Corrupt, "metrics: report: %w", err)
		}
		v := Value{Name: fmt.Sprint(t)}
		var number *float64
		if err := d.Decode(&number); err != nil {
			return fault.New(fault.Corrupt, "metrics: report: %s: %w", v.Name, err)
		}
		if slices.Contains(report.names(), v.Name) {
			return fault.New(fault.Corrupt, "metrics: report: %q twice", v.Name)
		}
		if number == nil {
			v.Undefined = v.Name + ": not defined"
		} else {
			v.Value = *number
		}
		report = append(report, v)
	}
	if _, err := d.Token(); err != nil {
		return fault.New(fault.Corrupt, "metrics: report: %w", err)
	}
	*r = report
	return nil
}
