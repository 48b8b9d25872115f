package metrics

import "fmt"

// MaxDetailed is how many classes a Detail has at most.
const MaxDetailed = 50

// Detail is what a full evaluator knows beyond single numbers.
type Detail struct {
	Rows      int64             `json:"rows"`
	Undefined map[string]string `json:"undefined,omitempty"` // why a metric, or a part of this, is not there
	Classes   []ClassDetail     `json:"classes,omitempty"`
	// Confusion counts rows by the true class, one after the other, and of each by
	// the class predicted, in the order of Classes.
	Confusion   [][]int64        `json:"confusion,omitempty"`
	Calibration []CalibrationBin `json:"calibration,omitempty"`
}

// ClassDetail is how well one class is predicted; what is not defined is nil.
type ClassDetail struct {
	Class     string   `json:"class"`
	Rows      int64    `json:"rows"`      // of it
	Predicted int64    `json:"predicted"` // as it
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	F1        *float64 `json:"f1"`
	AUC       *float64 `json:"auc,omitempty"` // against all others, of more than two classes
}

// Detail returns what e knows of its rows; names are those of the classes, none
// for a regression. Classes and Confusion are left out beyond MaxDetailed
// classes, and everything but Rows and Undefined when e is not a full evaluator.
func (e *Evaluator) Detail(names []string) Detail {
	d := Detail{Rows: e.NumRows(), Undefined: map[string]string{}}
	for _, name := range e.names() {
		if _, err := e.measured(name); err != nil {
			d.Undefined[name] = err.Error()
		}
	}
	if e.classes == nil || e.full == nil {
		return d
	}
	d.Calibration = e.full.calibration.Bins()
	if e.weights != nil {
		for m, n := range e.weights.bins {
			d.Calibration[m].Rows = n
		}
	}
	if e.classes.numClasses > MaxDetailed || len(names) != e.classes.numClasses {
		d.Undefined["confusion"] = fmt.Sprintf("left out: %d classes, and at most %d are shown", e.classes.numClasses, MaxDetailed)
		return d
	}
	defined := func(v float64, ok bool) *float64 {
		if !ok {
			return nil
		}
		return &v
	}
	counted, rows := e.counted(), e.counted().tallies()
	for k, t := range e.classes.tallies() {
		c := ClassDetail{Class: names[k], Rows: rows[k].truly, Predicted: rows[k].called}
		c.Precision, c.Recall, c.F1 = defined(t.precision()), defined(t.recall()), defined(t.f1())
		if e.full.byClass != nil {
			v, err := e.full.byClass[k].Value()
			c.AUC = defined(v, err == nil)
		}
		d.Classes = append(d.Classes, c)
		d.Confusion = append(d.Confusion, counted.counts[k*len(names):(k+1)*len(names)])
	}
	return d
}
