package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// fill sets the defaults that depend on other fields.
func (d *decoder) fill(s *Spec, n *node) {
	switch {
	case s.Features != nil && n.lookup("keep") == nil:
		f := s.Features
		f.Keep = []string{}
		for _, c := range append(slices.Clone(f.Entity), f.Timestamp, f.Target) {
			if c != "" && !contains(f.Keep, c) {
				f.Keep = append(f.Keep, c)
			}
		}
	case s.Train != nil:
		fillSplit(s.Train, n)
		fillOptimizer(&s.Train.Optimizer, n)
		fillModel(&s.Train.Model, n)
		if l := s.Train.Loss; l != nil && l.Kind == mse {
			s.Train.Loss = nil // as if it was not given
		}
	}
}

func fillSplit(t *Train, n *node) {
	if !n.gives("split", "seed") && (t.Split.By == ByHash || t.Split.By == ByRandom) {
		t.Split.Seed = t.Seed
	}
	if t.Split.By == ByColumn {
		for field, share := range map[string]*float64{"validation": &t.Split.Validation, "test": &t.Split.Test} {
			if !n.gives("split", field) {
				*share = 0
			}
		}
	}
}

// check judges fields against each other, once each is sound by itself.
func (d *decoder) check(s *Spec, n *node) {
	switch s.Kind {
	case KindFeatures:
		d.checkFeatures(s.Features, n)
	case KindTrain:
		d.checkTrain(s.Train, n)
	case KindPredict:
		d.checkPredict(s.Predict, n)
	case KindDrift:
		d.checkDrift(s.Drift, n)
	}
	d.checkWorkers(s, n)
}

// at returns where a field stands, or the document's place if it is absent.
func (n *node) atField(path ...string) place {
	v := n
	for _, key := range path {
		next := v.lookup(key)
		if next == nil {
			break
		}
		v = next
	}
	return v.at
}

func (d *decoder) checkFeatures(f *Features, n *node) {
	d.checkNames(f.Keep, "keep", n.lookup("keep"))
	if f.Target != "" && !contains(f.Keep, f.Target) {
		d.fault(n.atField("keep"), "keep", fmt.Sprintf("the target %q is missing", f.Target), "add it, or nothing could be trained on the output")
	}
	d.checkRoles(f.Entity, f.Timestamp, f.Target, n)
	if f.Timestamp != "" && contains(f.Entity, f.Timestamp) {
		part := map[bool]string{false: "", true: "part of "}[len(f.Entity) > 1]
		d.fault(n.atField("timestamp"), "timestamp", fmt.Sprintf("%q is %sthe entity", f.Timestamp, part), "name another column")
	}
	if samePlace(f.Input, f.Output) {
		d.fault(n.atField("output"), "output", "is the input", "name another folder")
	}
	if f.Target == "" {
		d.checkEncodings(f.Steps, n, "target_encode learns from the target, and there is none", "name the column to be predicted as target")
	}
}

// targetEncode is the operation that learns from the target.
const targetEncode = "target_encode"

// checkEncodings reports the features that learn from the target, for a reason.
func (d *decoder) checkEncodings(steps Steps, n *node, why, hint string) {
	list := n.lookup("features")
	for i, s := range steps {
		if s.Op == targetEncode {
			d.fault(list.items[i].atField("op"), fmt.Sprintf("features[%d].op", i), why, hint)
		}
	}
}

// samePlace reports whether writing to one path would write over the other.
func samePlace(input, output string) bool {
	return strings.TrimRight(input, "/") == strings.TrimRight(output, "/")
}

// checkNames reports column names that are given twice.
func (d *decoder) checkNames(names []string, path string, n *node) {
	for i, name := range names {
		if n != nil && slices.Index(names, name) < i {
			d.fault(n.items[i].at, fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%q is given twice", name), "")
		}
	}
}

func (d *decoder) checkTrain(t *Train, n *node) {
	d.checkSplit(t, n)
	d.checkNetwork(t, n)
	d.checkModelKind(t, n)
	if t.EarlyStopping != nil {
		d.checkMetric(t, n)
	}
	d.needsValidation(t, n)
	d.checkOptimizer(t.Optimizer, n)
	d.checkScheduler(t, n)
	d.checkWeights(t, n)
	d.checkColumns(t.Columns, n.lookup("columns"))
	d.checkSlices(t, n.lookup("slices"))
	if contains(t.Columns.Include, t.Target) {
		d.fault(n.atField("columns", "include"), "columns.include", fmt.Sprintf("%q is the target", t.Target), "remove it")
	}
	inline := t.Features != nil && t.Features.File == ""
	if inline && t.Task == Multiclass {
		d.checkEncodings(t.Features.Steps, n, "target_encode needs a number or one of two classes to take the mean of, and the task is multiclass", "use frequency_encode or hash_encode")
	}
	for _, c := range []struct {
		field string
		given bool
	}{{"entity", len(t.Entity) > 0}, {"timestamp", t.Timestamp != ""}} {
		if c.given && !inline {
			d.fault(n.atField(c.field), c.field, "is only read with a list of features", "remove it")
		}
	}
	d.checkRoles(t.Entity, t.Timestamp, t.Target, n)
}

// checkNetwork reports residual blocks where no layer can have one, and embeddings
// given twice or of columns that the model does not learn from.
func (d *decoder) checkNetwork(t *Train, n *node) {
	m := t.Model
	if m.Residual && len(slices.Compact(slices.Clone(m.Hidden))) == len(m.Hidden) {
		d.fault(n.atField("model", "residual"), "model.residual", fmt.Sprintf("no hidden layer of %v is as wide as the one before it", m.Hidden),
			"give two of them the same width, such as hidden: [64, 64], or remove it")
	}
	list := n.lookup("model").lookup("embeddings")
	for i, e := range m.Embeddings {
		for _, other := range m.Embeddings[:i] {
			if other.Column == e.Column {
				d.fault(list.items[i].at, fmt.Sprintf("model.embeddings[%d]", i), fmt.Sprintf("%q is given twice", e.Column), "remove one")
			}
		}
		d.checkEmbedding(t, e.Column, list.items[i].atField("column"), fmt.Sprintf("model.embeddings[%d].column", i))
	}
}

// checkEmbedding reports an embedding of a column that the model cannot learn from.
func (d *decoder) checkEmbedding(t *Train, column string, at place, path string) {
	switch {
	case t.Features == nil && column == t.Target:
		d.fault(at, path, fmt.Sprintf("%q is the target", column), "name a column that the model learns from")
	case column != "" && column == t.Weight:
		d.fault(at, path, fmt.Sprintf("%q is the rows' weight", column), "name a column that the model learns from")
	case contains(t.Columns.Exclude, column):
		d.fault(at, path, fmt.Sprintf("%q is among columns.exclude", column), "remove it there, or the embedding")
	case len(t.Columns.Include) > 0 && column != "" && !contains(t.Columns.Include, column):
		d.fault(at, path, fmt.Sprintf("%q is not among columns.include", column), cmp.Or(suggestOnly(column, t.Columns.Include), "add it there"))
	}
}

// checkSlices reports columns that metrics cannot be sliced by.
func (d *decoder) checkSlices(t *Train, n *node) {
	d.checkNames(t.Slices, "slices", n)
	for i, name := range t.Slices {
		if name == t.Target {
			d.fault(n.items[i].at, fmt.Sprintf("slices[%d]", i), fmt.Sprintf("%q is the target", name), "metrics of the rows of each class are in details; remove it")
		}
	}
}

// checkRoles reports columns that play a part beside that of the target.
func (d *decoder) checkRoles(entity Entity, timestamp, target string, n *node) {
	if target == "" {
		return
	}
	for i, column := range entity {
		if column == target {
			at, path := n.atField("entity"), "entity"
			if list := n.lookup("entity"); list.shape == shapeList {
				at, path = list.items[i].at, fmt.Sprintf("entity[%d]", i)
			}
			d.fault(at, path, fmt.Sprintf("%q is the target", column), "name another column")
		}
	}
	if timestamp == target {
		d.fault(n.atField("timestamp"), "timestamp", fmt.Sprintf("%q is the target", timestamp), "name another column")
	}
}

func (d *decoder) checkSplit(t *Train, n *node) {
	s := t.Split
	fault := func(field, message, hint string) {
		d.fault(n.atField("split", field), "split."+field, message, hint)
	}
	switch {
	case s.Column == "" && s.By != ByRandom:
		fault("column", fmt.Sprintf("missing: by: %s needs a column", s.By), columnHints[s.By])
	case s.Column != "" && s.By == ByRandom:
		fault("column", "is not read with by: random", "remove it, or split by: hash to keep its equal values together")
	case s.Column == t.Target:
		fault("column", fmt.Sprintf("%q is the target", s.Column), "a split by the target would make training and test rows differ in it")
	}
	if s.By == ByColumn && (s.Validation > 0 || s.Test > 0) {
		fault("by", "with by: column, the column alone says which rows validate and test", "remove validation and test")
	}
	if s.Validation+s.Test >= 1 {
		fault("validation", fmt.Sprintf("validation %v and test %v leave no rows to train on", s.Validation, s.Test), "their sum must be below 1")
	}
	if s.Seed != 0 && (s.By == ByTime || s.By == ByColumn) {
		fault("seed", fmt.Sprintf("is not read with by: %s", s.By), "remove it")
	}
}

var columnHints = map[SplitBy]string{
	ByTime:   "name the one that orders the rows",
	ByHash:   "name the one whose equal values stay together, such as the entity",
	ByColumn: "name the one that holds train, validation or test",
}

// needsValidation reports what watches the validation rows when there are none.
func (d *decoder) needsValidation(t *Train, n *node) {
	if t.Split.Validation > 0 || t.Split.By == ByColumn {
		return
	}
	if t.EarlyStopping != nil {
		d.fault(n.atField("early_stopping"), "early_stopping", "needs validation rows, and split.validation is 0", "")
	}
	if t.Scheduler.Type == "reduce_on_plateau" {
		d.fault(n.atField("scheduler"), "scheduler", "reduce_on_plateau needs validation rows, and split.validation is 0", "")
	}
}

func (d *decoder) checkMetric(t *Train, n *node) {
	metrics := append(Metrics(t.Task), t.Loss.metric()...)
	m := t.EarlyStopping.Metric
	if contains(metrics, m) {
		return
	}
	hint := suggestOnly(m, metrics)
	if name := otherMetrics[strings.TrimPrefix(strings.ToLower(m), "val_")]; contains(metrics, name) {
		hint = "write " + name
	}
	for _, task := range []Task{Binary, Multiclass, Regression} {
		if contains(Metrics(task), m) {
			hint = "it is a metric of task " + string(task)
			break
		}
	}
	if m == "pinball_loss" || m == "huber_loss" {
		hint = "it is measured with loss: {quantile: Q}, or loss: huber"
	}
	d.fault(n.atField("early_stopping", "metric"), "early_stopping.metric",
		fmt.Sprintf("%q is not a metric of task %s, which has %s", clip(m), t.Task, strings.Join(metrics, ", ")), hint)
}

// otherMetrics are what other programs call the metrics.
var otherMetrics = map[string]string{
	"roc_auc": "auc", "auroc": "auc", "pr_auc": "average_precision", "aucpr": "average_precision", "auprc": "average_precision", "ap": "average_precision",
	"logloss": "log_loss", "mlogloss": "log_loss", "neg_log_loss": "log_loss", "cross_entropy": "log_loss", "acc": "accuracy",
	"f1_macro": "macro_f1", "f1_weighted": "weighted_f1", "f1_score": "f1", "mse": "rmse", "l1": "mae", "l2": "rmse",
	"loss": "loss", "auc": "auc", "rmse": "rmse", "mae": "mae", "f1": "f1", "accuracy": "accuracy",
}

// Metrics returns the names of the metrics of a task, for early stopping. The
// first, loss, is what training minimises.
func Metrics(t Task) []string {
	switch t {
	case Binary:
		return []string{"loss", "auc", "average_precision", "log_loss", "accuracy", "precision", "recall", "f1"}
	case Multiclass:
		return []string{
			"loss", "log_loss", "accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1",
		}
	case Regression:
		return []string{"loss", "rmse", "mae", "r2"}
	}
	return nil
}

func (d *decoder) checkPredict(p *Predict, n *node) {
	d.checkModel(p.Model, n)
	d.checkNames(p.Keep, "keep", n.lookup("keep"))
	if samePlace(p.Input, p.Output) {
		d.fault(n.atField("output"), "output", "is the input", "name another folder")
	}
}

// checkModel judges the form of a model's address; whether there is such a
// model is for others to say.
func (d *decoder) checkModel(model string, n *node) {
	at := n.atField("model")
	kind, rest, ok := strings.Cut(model, ":/")
	switch {
	case strings.HasSuffix(model, ".pkl") || strings.HasSuffix(model, ".pickle") || strings.HasSuffix(model, ".joblib"):
		d.fault(at, "model", "pickles are not read, since loading one runs code", "export the model as safetensors, XGBoost JSON or ONNX")
	case !ok || kind != "runs" && kind != "models":
	case kind == "runs" && !complete(strings.SplitN(rest, "/", 2), 2):
		d.fault(at, "model", fmt.Sprintf("%q is not a run's artifact", clip(model)), "write runs:/ID/model")
	case kind == "models" && !complete(strings.FieldsFunc(rest, func(c rune) bool { return c == '/' || c == '@' }), 2):
		d.fault(at, "model", fmt.Sprintf("%q is not a registered model", clip(model)), "write models:/NAME/VERSION or models:/NAME@ALIAS")
	}
}

func complete(parts []string, n int) bool { return len(parts) == n && !contains(parts, "") }

func (d *decoder) checkDrift(f *Drift, n *node) {
	switch {
	case f.Reference == "" && f.Model == "":
		d.fault(n.at, "reference", "missing", "give reference (Parquet files) or model, to compare with its training rows")
	case f.Reference != "" && f.Model != "":
		d.fault(n.atField("model"), "model", "given beside reference", "give one of the two")
	case f.Model != "":
		d.checkModel(f.Model, n)
	}
	d.checkColumns(f.Columns, n.lookup("columns"))
	if methods := n.lookup("methods"); methods != nil {
		for _, e := range methods.entries {
			excluded := contains(f.Columns.Exclude, e.key) || len(f.Columns.Include) > 0 && !contains(f.Columns.Include, e.key)
			if excluded {
				d.fault(e.at, join("methods", e.key), "names a column that is not compared", "remove it, or change columns")
			}
		}
	}
}

// checkColumns reports names that are given twice, or both in and out.
func (d *decoder) checkColumns(c Columns, n *node) {
	if n == nil {
		return
	}
	d.checkNames(c.Include, "columns.include", n.lookup("include"))
	d.checkNames(c.Exclude, "columns.exclude", n.lookup("exclude"))
	for i, name := range c.Exclude {
		if contains(c.Include, name) {
			d.fault(n.lookup("exclude").items[i].at, fmt.Sprintf("columns.exclude[%d]", i), fmt.Sprintf("%q is included, too", name), "")
		}
	}
}

func (d *decoder) checkWorkers(s *Spec, n *node) {
	var w Workers
	switch s.Kind {
	case KindFeatures:
		w = s.Features.Workers
	case KindTrain:
		w = s.Train.Workers
	case KindPredict:
		w = s.Predict.Workers
	case KindDrift:
		w = s.Drift.Workers
	}
	if w.Max > 0 && w.Max < w.Min {
		d.fault(n.atField("workers", "max"), "workers.max", fmt.Sprintf("must be at least workers.min, which is %d, or 0 for no limit; found %d", w.Min, w.Max), "")
	}
}
