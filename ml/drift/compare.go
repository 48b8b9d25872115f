package drift

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Method is a way to compare two columns, as specs write it.
type Method string

// The methods. A column has drifted when its statistic reaches the threshold,
// which is how large a difference has to be to matter, or, where the tables are
// so small that chance would reach that in more than 5 % of columns that have
// not drifted, how large chance makes it.
//
//	method       statistic                        matters from   why
//	psi          PSI                              0.2            the rule of thumb of credit scoring (Yurdakul, Western Michigan University, 2018)
//	ks           KolmogorovSmirnov                0.1            a tenth of the rows would have to change sides
//	wasserstein  Wasserstein, in reference std    0.1            the default of Evidently
//	js           JensenShannon, in bits           0.0144         the default of Evidently: a distance of 0.1 in nats
//	chi2         ChiSquare                        0.01 (n + m)   a small effect: w = 0.1 (Cohen, Statistical Power Analysis, 1988, 7.2)
//
// By chance, psi exceeds the 95 % point of chi-square with one degree of freedom
// less than there are bins, times (1/n + 1/m), in 5 % of tables (Yurdakul, as
// above; more often where bins have fewer than 5 rows); js an eighth of that, in
// nats, being an eighth of psi for small differences; chi2 the point itself; ks
// that of Kolmogorov's distribution over sqrt(nm / (n + m)). No such bound is
// known for wasserstein, which depends on the distribution.
//
// Psi, js and chi2 compare shares of bins. Numbers have the bins (-inf, e1],
// (e1, e2], ..., (ek, inf), the edges being the deciles of the reference; bools
// and strings have a bin for each value of the reference, and one for all values
// that the reference does not have. Where any value is missing (null or NaN) in
// either table, missing values have a bin of their own. Ks and wasserstein
// compare the numbers that are there and leave missing ones out.
const (
	Auto              Method = "auto" // psi
	PSIMethod         Method = "psi"
	KSMethod          Method = "ks"          // numbers only
	WassersteinMethod Method = "wasserstein" // numbers only
	JSMethod          Method = "js"
	ChiSquareMethod   Method = "chi2"
)

// What matters, by method.
const (
	psiMatters         = 0.2
	ksMatters          = 0.1
	wassersteinMatters = 0.1
	jsMatters          = 0.0144
	chiSquareMatters   = 0.01
)

// Config is how two profiles are compared.
type Config struct {
	// Method compares every column that Methods does not name; "" is Auto. A
	// column that it cannot compare, such as strings by ks, is compared by Auto.
	Method Method
	// Methods compare single columns; one that cannot compare its column is an error.
	Methods map[string]Method
	// Share is the share of columns that must have drifted for the whole to count
	// as drifted, above 0 and at most 1; 0 means 0.5.
	Share float64
	// Target is the column that models predict, or "": a column like the others,
	// whose drift the report names apart.
	Target string
}

// Report is what Compare has found. As JSON it is the same bytes for the same
// profiles and Config.
type Report struct {
	DriftDetected bool     `json:"drift_detected"`
	ReferenceRows int64    `json:"reference_rows"`
	CurrentRows   int64    `json:"current_rows"`
	Share         float64  `json:"drifted_share"`    // of the columns
	Threshold     float64  `json:"threshold_share"`  // from which on drift is detected
	Drifted       []string `json:"drifted_features"` // in the order of the columns
	Target        string   `json:"target,omitempty"`
	TargetDrifted *bool    `json:"target_drifted,omitempty"`
	Columns       []Column `json:"columns"` // in the order of the reference
}

// Column is the comparison of one column.
type Column struct {
	Name      string  `json:"name"`
	Kind      Kind    `json:"kind"`
	Method    Method  `json:"method"` // never Auto
	Statistic float64 `json:"statistic"`
	Threshold float64 `json:"threshold"`
	Drifted   bool    `json:"drifted"`
	// PValue is how often chance alone gives such a statistic or a larger one, in
	// 6 digits; of ks and chi2 only.
	PValue *float64 `json:"p_value,omitempty"`
	// Statistics are those of all methods that can compare the column.
	Statistics       map[Method]float64 `json:"statistics"`
	ReferenceMissing float64            `json:"reference_missing"` // share of rows that are null or NaN
	CurrentMissing   float64            `json:"current_missing"`
	Edges            []float64          `json:"edges,omitempty"` // of the bins of numbers
	// Bins are the shares by bin, at most 50: of more values the most frequent
	// ones of the reference, and the others together. Statistics are of all.
	Bins []Bin `json:"bins"`
}

// Bin is the shares of the rows of both tables that are in one bin.
type Bin struct {
	Name      string  `json:"name"`
	Reference float64 `json:"reference"`
	Current   float64 `json:"current"`
}

// Compare holds the columns of reference against those of the same name in
// current, which may have more. Profiles without rows, columns that are missing
// or of another kind in current, and a Config that does not fit are errors of
// kind Invalid.
func Compare(reference, current *Profile, cfg Config) (*Report, error) {
	if cfg.Share == 0 {
		cfg.Share = 0.5
	}
	if err := cfg.check(reference, current); err != nil {
		return nil, err
	}
	r := &Report{
		ReferenceRows: reference.rows, CurrentRows: current.rows, Threshold: cfg.Share,
		Target: cfg.Target, Drifted: []string{}, Columns: []Column{},
	}
	for _, c := range reference.columns {
		got := compare(c, current.column(c.name), cfg.methodOf(c))
		if got.Drifted {
			r.Drifted = append(r.Drifted, c.name)
		}
		if c.name == cfg.Target {
			r.TargetDrifted = &got.Drifted
		}
		r.Columns = append(r.Columns, got)
	}
	r.Share = float64(len(r.Drifted)) / float64(len(r.Columns))
	r.DriftDetected = r.Share >= cfg.Share
	return r, nil
}

func (cfg Config) check(reference, current *Profile) error {
	switch {
	case !(cfg.Share > 0 && cfg.Share <= 1):
		return fault.New(fault.Invalid, "drift: compare: the share of columns is %v, expected above 0 and at most 1", cfg.Share)
	case reference.rows == 0:
		return fault.New(fault.Invalid, "drift: compare: the reference has no rows")
	case current.rows == 0:
		return fault.New(fault.Invalid, "drift: compare: the current table has no rows")
	case len(reference.columns) == 0:
		return fault.New(fault.Invalid, "drift: compare: there are no columns to compare")
	case cfg.Target != "" && reference.column(cfg.Target) == nil:
		return fault.New(fault.Invalid, "drift: compare: the target %q is none of the columns %s", cfg.Target, strings.Join(reference.Columns(), ", "))
	}
	for _, c := range reference.columns {
		d := current.column(c.name)
		if d == nil {
			return fault.New(fault.Invalid, "drift: compare: the current table has no column %q; leave it out, or compare with rows that have it", c.name)
		}
		if c.kind != d.kind {
			return fault.New(fault.Invalid, "drift: compare: column %q is a %v in the reference and a %v in the current table", c.name, c.kind, d.kind)
		}
	}
	if _, err := cfg.Method.known(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Methods)) {
		c := reference.column(name)
		if c == nil {
			return fault.New(fault.Invalid, "drift: compare: a method is given for %q, which is none of the columns %s", name, strings.Join(reference.Columns(), ", "))
		}
		m, err := cfg.Methods[name].known()
		if err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
		if !m.fits(c.kind) {
			return fault.New(fault.Invalid, "drift: compare: column %q is a %v, and %s compares numbers only; use psi, js or chi2", name, c.kind, m)
		}
	}
	return nil
}

// known returns the method that Auto stands for, or any other as it is.
func (m Method) known() (Method, error) {
	switch m {
	case Auto, "":
		return PSIMethod, nil
	case PSIMethod, KSMethod, WassersteinMethod, JSMethod, ChiSquareMethod:
		return m, nil
	}
	return "", fault.New(fault.Invalid, "drift: compare: unknown method %q: known are auto, psi, ks, wasserstein, js and chi2", m)
}

func (m Method) fits(k Kind) bool { return k == Number || m != KSMethod && m != WassersteinMethod }

func (cfg Config) methodOf(c *column) Method {
	m, named := cfg.Methods[c.name]
	if !named {
		m = cfg.Method
	}
	if m, err := m.known(); err == nil && m.fits(c.kind) {
		return m
	}
	return PSIMethod
}

func compare(reference, current *column, m Method) Column {
	b, edges := binsOf(reference, current)
	chiSquare, freedom := ChiSquare(b.reference, b.current)
	c := Column{
		Name: reference.name, Kind: reference.kind, Method: m, Edges: edges, Bins: b.listed(),
		ReferenceMissing: share(reference.missing, reference.rows), CurrentMissing: share(current.missing, current.rows),
		Statistics: map[Method]float64{
			PSIMethod: PSI(b.reference, b.current), JSMethod: JensenShannon(b.reference, b.current), ChiSquareMethod: chiSquare,
		},
	}
	if c.Kind == Number {
		c.Statistics[KSMethod] = KolmogorovSmirnov(reference.numbers, current.numbers)
		c.Statistics[WassersteinMethod] = Wasserstein(reference.numbers, current.numbers)
	}
	c.Statistic = c.Statistics[m]
	c.Threshold, c.PValue = threshold(m, c.Statistic, reference, current, freedom)
	c.Drifted = c.Statistic >= c.Threshold
	return c
}

// threshold returns the statistic from which on a column has drifted, and how
// often chance gives a statistic like the one there is.
func threshold(m Method, statistic float64, reference, current *column, freedom int) (at float64, chance *float64) {
	n, k := float64(reference.rows), float64(current.rows)
	point := 0.0
	if freedom > 0 && m != KSMethod && m != WassersteinMethod {
		point = critical(func(x float64) float64 { return chiSquareTail(x, freedom) })
	}
	switch m {
	case KSMethod:
		n, k = float64(reference.numbers.N()), float64(current.numbers.N())
		if n == 0 || k == 0 {
			return ksMatters, nil
		}
		scale := math.Sqrt(n / (n + k) * k)
		p := rounded(kolmogorovTail(statistic * scale))
		return max(ksMatters, rounded(critical(kolmogorovTail)/scale)), &p
	case WassersteinMethod:
		return wassersteinMatters, nil
	case JSMethod:
		return max(jsMatters, rounded(point*(1/n+1/k)/(8*math.Ln2))), nil
	case ChiSquareMethod:
		p := rounded(chiSquareTail(statistic, freedom))
		return max(rounded(chiSquareMatters*(n+k)), rounded(point)), &p
	default:
		return max(psiMatters, rounded(point*(1/n+1/k))), nil
	}
}

// maxListed is how many bins a report lists.
const maxListed = 50

// listed returns the shares of the bins: the first ones, the last two if they
// are not values, and the others together.
func (b *bins) listed() []Bin {
	n, m := total(b.reference), total(b.current)
	var list []Bin
	others, last := Bin{}, len(b.names)
	for last > 0 && (b.names[last-1] == missingBin || b.names[last-1] == unseenBin) {
		last--
	}
	numOthers := 0
	for i, name := range b.names {
		bin := Bin{name, share(b.reference[i], n), share(b.current[i], m)}
		if len(b.names) > maxListed && i < last && i >= maxListed-3 {
			others.Reference += bin.Reference
			others.Current += bin.Current
			numOthers++
			others.Name = fmt.Sprintf("(%d others)", numOthers)
			continue
		}
		if numOthers > 0 && i == last {
			list = append(list, others)
		}
		list = append(list, bin)
	}
	if numOthers > 0 && last == len(b.names) {
		list = append(list, others)
	}
	return list
}
