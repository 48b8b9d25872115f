package runs

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/query"
)

// DatasetName names a data set that a metric is of; an empty digest is any.
type DatasetName struct{ Name, Digest string }

func (d DatasetName) has(m *Measure) bool {
	return (d.Name == "" || d.Name == m.Dataset) && (d.Digest == "" || d.Digest == m.Digest)
}

// LoggedOrder is by what logged models are sorted: an attribute, or a metric, on one
// data set if that is named.
type LoggedOrder struct {
	Field   string
	Down    bool
	Dataset DatasetName
}

// LoggedSearch is a question for logged models.
type LoggedSearch struct {
	Groups   []string      // ids of experiments; nil for all
	Filter   string        // in the language of package query; empty for all
	Datasets []DatasetName // a model has a metric on one of them, and metrics of the filter are of them; nil for all
	Order    []LoggedOrder // then, and by default, the newest first
	Limit    int           // at most so many; 0 for all
	Page     string        // where the page before has ended, by its Found.Next
}

// LoggedGrammar is what logged models can be searched by.
var LoggedGrammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Metric, query.Param, query.Tag},
	Numbers: []string{"creation_timestamp", "last_updated_timestamp"},
	Texts:   []string{"name", "model_id", "model_type", "status", "source_run_id", "experiment_id"},
	Aliases: map[string]string{
		"creation_time": "creation_timestamp", "creation_timestamp_ms": "creation_timestamp",
		"last_updated_time": "last_updated_timestamp", "last_updated_timestamp_ms": "last_updated_timestamp",
	},
}

// Search returns the logged models that are asked for and are not deleted, as
// Book.Search does for runs. Of a metric that has points on several data sets or by
// several runs a comparison holds if it does of one, and the order is by the newest.
func (l *LoggedModels) Search(ctx context.Context, s LoggedSearch) (Found, error) {
	var order []string
	for _, o := range s.Order {
		clause, err := o.clause()
		if err != nil {
			return Found{}, err
		}
		order = append(order, clause)
	}
	all, err := l.book.all(ctx)
	if err != nil {
		return Found{}, err
	}
	var chosen []*loggedModel
	for _, p := range all {
		m := &loggedModel{p, s.Datasets}
		if (s.Groups == nil || slices.Contains(s.Groups, p.Group)) && !p.deleted() && (len(s.Datasets) == 0 || m.measured()) {
			chosen = append(chosen, m)
		}
	}
	page, next, err := query.Choose(LoggedGrammar, chosen, s.Filter, order, s.Page, s.Limit)
	if err != nil {
		return Found{}, err
	}
	found := Found{Next: next}
	for _, m := range page {
		found.Runs = append(found.Runs, m.Run)
	}
	return found, nil
}

// clause writes the order in the language of package query, with the data set behind
// the name of the metric.
func (o LoggedOrder) clause() (string, error) {
	field := o.Field
	if metric, ok := strings.CutPrefix(field, "metrics."); ok {
		metric = strings.Trim(metric, "`")
		if strings.ContainsAny(metric, "`"+ofMetric) {
			return "", fault.New(fault.Invalid, "order %q: no metric has such a name", field)
		}
		field = "metrics.`" + strings.Join([]string{metric, url.QueryEscape(o.Dataset.Name), url.QueryEscape(o.Dataset.Digest)}, ofMetric) + "`"
	} else if o.Dataset != (DatasetName{}) {
		return "", fault.New(fault.Invalid, "order %q: only a metric is of a data set", field)
	}
	if o.Dataset.Digest != "" && o.Dataset.Name == "" {
		return "", fault.New(fault.Invalid, "order %q: name the data set whose digest is %q", o.Field, o.Dataset.Digest)
	}
	if o.Down {
		return field + " DESC", nil
	}
	return field, nil
}

// loggedModel is a logged model that is searched for.
type loggedModel struct {
	*placed
	datasets []DatasetName
}

// on reports whether a point is of the data sets that are asked for.
func (m *loggedModel) on(p *Measure) bool {
	return len(m.datasets) == 0 || slices.ContainsFunc(m.datasets, func(d DatasetName) bool { return d.has(p) })
}

func (m *loggedModel) measured() bool {
	for key, p := range m.Latest {
		if of := measureOf(key, p); m.on(&of) {
			return true
		}
	}
	return false
}

// Numbers implements query.Several.
func (m *loggedModel) Numbers(f query.Field) []float64 {
	if f.Kind != query.Metric {
		v, _ := m.Number(f)
		return []float64{v}
	}
	var values []float64
	for key, p := range m.Latest {
		if of := measureOf(key, p); of.Metric == f.Key && m.on(&of) {
			values = append(values, float64(p.Value))
		}
	}
	return values
}

// Number implements query.Subject, for the order.
func (m *loggedModel) Number(f query.Field) (float64, bool) {
	switch {
	case f.Kind == query.Metric:
		return m.newest(f.Key)
	case f.Key == "creation_timestamp":
		return float64(m.Started.UnixMilli()), true
	default:
		return float64(m.Changed.UnixMilli()), true
	}
}

// newest is the newest value of a metric of a clause.
func (m *loggedModel) newest(metric string) (float64, bool) {
	var d DatasetName
	if parts := strings.Split(metric, ofMetric); len(parts) == 3 {
		metric = parts[0]
		d.Name, _ = url.QueryUnescape(parts[1])   //nolint:errcheck // clause has escaped it
		d.Digest, _ = url.QueryUnescape(parts[2]) //nolint:errcheck // likewise
	}
	var found Point
	ok := false
	for key, p := range m.Latest {
		if of := measureOf(key, p); of.Metric == metric && d.has(&of) && (!ok || p.newer(found)) {
			found, ok = p, true
		}
	}
	return float64(found.Value), ok
}

// Texts implements query.Subject.
func (m *loggedModel) Texts(f query.Field) []string {
	switch f.Kind {
	case query.Param:
		return valueOf(m.Params, f.Key)
	case query.Tag:
		return valueOf(m.Tags, f.Key)
	}
	text := ""
	switch f.Key {
	case "name":
		text = m.Name
	case "model_id":
		text = string(m.ID)
	case "model_type":
		text = m.ModelType
	case "status":
		text = m.Status.ModelWord()
	case "source_run_id":
		text = string(m.Source)
	default:
		text = m.Group
	}
	if text == "" {
		return nil
	}
	return []string{text}
}

// modelWords are the statuses of logged models in MLflow's words.
var modelWords = map[Status]string{Running: "PENDING", Succeeded: "READY", Failed: "UPLOAD_FAILED"}

// ModelWord returns the status of a logged model in the words of MLflow, in which it
// is searched for.
func (s Status) ModelWord() string { return modelWords[s] }

// ModelStatusOf returns the status with which the upload of a logged model has ended,
// of a word of MLflow. The error is of kind Invalid.
func ModelStatusOf(word string) (Status, error) {
	for _, s := range []Status{Succeeded, Failed} {
		if s.ModelWord() == word {
			return s, nil
		}
	}
	return "", fault.New(fault.Invalid, "the status %q ends no upload of a model: it is LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED", word)
}
