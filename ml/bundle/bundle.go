// Package bundle is the trained artifact: one file that holds everything it
// takes to go from raw rows to predictions, and to know that they are right:
// the columns it takes, the fitted features, the encoders, the model, its
// metrics, the profile of the rows it was trained on, and golden rows whose
// predictions are checked whenever it is loaded. It holds no code, so loading
// one runs none.
package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// Bundle is a trained model with all that belongs to it. It does not change
// once it is decoded or its golden rows are set, and is then safe for
// concurrent use.
type Bundle struct {
	// Signature is the columns that Predict needs. Null is allowed where the
	// field is nullable.
	Signature data.Schema
	// Pipeline computes features of them, ready, keeping no column; nil when the
	// encoder reads the columns of the signature themselves.
	Pipeline *features.Pipeline
	// Encoder turns features, or columns, into the rows that the model takes.
	Encoder *features.Encoder
	// Target knows the classes.
	Target *features.Target
	// Kind names the format of the model; MLP is the only one so far.
	Kind  string
	Model models.Model
	// Metrics are by part, such as test.
	Metrics map[string]metrics.Report
	// Profile is of the training rows, columns of the signature and maybe others,
	// flushed; nil when there is none.
	Profile *drift.Profile

	golden   *data.Batch // of the signature; nil when there are none
	expected *data.Batch // what Predict has made of them
}

// MLP is the kind of models that ml/models/neural has fitted, a safetensors file.
const MLP = "mlp"

// kinds is the one table of the kinds of models, and of what reads each.
func kinds() map[string]func([]byte) (models.Model, error) {
	return map[string]func([]byte) (models.Model, error){
		MLP: func(b []byte) (models.Model, error) { return neural.Load(b) },
	}
}

// check reports whether the parts fit together.
func (b *Bundle) check() error {
	switch {
	case b.Encoder == nil || b.Target == nil || b.Model == nil:
		return fault.New(fault.Invalid, "bundle: encoder, target or model is not set")
	case !b.Target.Ready():
		return fault.New(fault.Invalid, "bundle: the target is not fitted")
	case len(b.Signature.Fields) == 0:
		return fault.New(fault.Invalid, "bundle: the signature has no columns")
	case b.Encoder.NumFeatures() != b.Model.NumFeatures():
		return fault.New(fault.Invalid, "bundle: the encoder makes %d features, and the model takes %d", b.Encoder.NumFeatures(), b.Model.NumFeatures())
	case b.Pipeline != nil && !b.Pipeline.Ready():
		return fault.New(fault.Invalid, "bundle: the features are not fitted")
	}
	p := b.Model.Problem()
	if p.Task != b.Target.Task() || p.Task != metrics.Regression && p.NumClasses != len(b.Target.Classes()) {
		return fault.New(fault.Invalid, "bundle: the model is for %s with %d classes, the target for %s with %d",
			p.Task, p.NumClasses, b.Target.Task(), len(b.Target.Classes()))
	}
	for i, f := range b.Signature.Fields {
		if b.Signature.Index(f.Name) != i {
			return fault.New(fault.Invalid, "bundle: column %q is twice in the signature", f.Name)
		}
	}
	have := b.Signature
	if b.Pipeline != nil {
		for _, name := range b.Pipeline.Inputs() {
			if b.Signature.Index(name) < 0 {
				return fault.New(fault.Invalid, "bundle: the features need column %q, which is not in the signature", name)
			}
		}
		var err error
		if have, err = b.Pipeline.OutputSchema(); err != nil {
			return err
		}
	}
	for _, name := range b.Encoder.Inputs() {
		if have.Index(name) < 0 {
			return fault.New(fault.Invalid, "bundle: the encoder needs column %q, which is not there", name)
		}
	}
	return nil
}

// SetGolden predicts rows, which hold the columns of the signature, and keeps
// both for CheckGolden. A few dozen rows are plenty; 1,000 are the most.
func (b *Bundle) SetGolden(rows *data.Batch) error {
	const most = 1000
	if rows.NumRows < 1 || rows.NumRows > most {
		return fault.New(fault.Invalid, "bundle: %d golden rows, expected 1 to %d", rows.NumRows, most)
	}
	conformed, err := b.conform(rows)
	if err != nil {
		return err
	}
	// Through the file and back, so that what is kept is what will be read.
	file, err := toParquet(conformed)
	if err != nil {
		return err
	}
	golden, err := fromParquet(file, goldenPart)
	if err != nil {
		return err
	}
	p, err := b.Predict(golden)
	if err != nil {
		return err
	}
	b.golden, b.expected = golden, p.batch()
	return nil
}

// Golden returns the golden rows, or nil when there are none.
func (b *Bundle) Golden() *data.Batch { return b.golden }

// CheckGolden predicts the golden rows again. The error is of kind Corrupt when
// a bit of any prediction differs from when the bundle was made: then this
// processor, or this version, cannot be trusted with the model.
func (b *Bundle) CheckGolden() error {
	if b.golden == nil {
		return nil
	}
	p, err := b.Predict(b.golden)
	if err != nil {
		return fault.New(fault.Corrupt, "bundle: golden rows: %w", err)
	}
	got := p.batch()
	for k, want := range b.expected.Columns {
		name := b.expected.Schema.Fields[k].Name
		if k >= len(got.Columns) || got.Schema.Fields[k] != b.expected.Schema.Fields[k] || got.NumRows != b.expected.NumRows {
			return fault.New(fault.Corrupt, "bundle: golden rows: the columns of the predictions differ at %q", name)
		}
		for i := range got.NumRows {
			if !same(want, got.Columns[k], i) {
				return fault.New(fault.Corrupt, "bundle: golden row %d: %s differs from when the model was made: "+
					"this processor or version of troupe does not compute what the model was tested with", i, name)
			}
		}
	}
	return nil
}

// same compares row i of two columns of one type, to the bit.
func same(a, b *data.Column, i int) bool {
	switch a.Type {
	case data.Bool:
		return a.Bools[i] == b.Bools[i]
	case data.Int32, data.Date:
		return a.Int32s[i] == b.Int32s[i]
	case data.Int64, data.Timestamp:
		return a.Int64s[i] == b.Int64s[i]
	case data.Float32:
		return math.Float32bits(a.Float32s[i]) == math.Float32bits(b.Float32s[i])
	case data.Float64:
		return math.Float64bits(a.Float64s[i]) == math.Float64bits(b.Float64s[i])
	case data.String:
		return a.Dict[a.Codes[i]] == b.Dict[b.Codes[i]]
	}
	return false
}

// Encode writes the bundle as one file: the same bytes for the same bundle. The
// error is of kind Invalid when its parts do not fit together.
func (b *Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	if _, ok := kinds()[b.Kind]; !ok {
		return nil, fault.New(fault.Invalid, "bundle: encode: a model of kind %q, which is not known", b.Kind)
	}
	p := parts{}
	docs := map[string]any{signaturePart: b.Signature, encoderPart: b.Encoder, targetPart: b.Target, metricsPart: b.Metrics}
	if b.Pipeline != nil {
		docs[pipelinePart] = b.Pipeline
	}
	for name, doc := range docs {
		text, err := json.Marshal(doc)
		if err != nil {
			return nil, fault.New(fault.Internal, "bundle: encode %s: %w", name, err)
		}
		p[name] = text
	}
	var err error
	if p[modelPart], err = b.Model.MarshalBinary(); err != nil {
		return nil, err
	}
	if b.Profile != nil {
		if p[profilePart], err = b.Profile.MarshalBinary(); err != nil {
			return nil, err
		}
	}
	if b.golden != nil {
		if p[goldenPart], err = toParquet(b.golden); err != nil {
			return nil, err
		}
		if p[expectedPart], err = toParquet(b.expected); err != nil {
			return nil, err
		}
	}
	return pack(manifest{Format: formatVersion, Model: b.Kind, Task: b.Target.Task()}, p)
}

// Decode reads what Encode has written and checks all of it, the predictions of
// the golden rows included. The error is of kind Corrupt and names the part at
// fault when the file is damaged or no bundle, and Invalid when it is of a newer
// version or a pickle, which is never read.
func Decode(b []byte) (*Bundle, error) { return decode(b, kinds()) }

func decode(b []byte, kinds map[string]func([]byte) (models.Model, error)) (*Bundle, error) {
	m, p, err := unpack(b)
	if err != nil {
		return nil, err
	}
	load, ok := kinds[m.Model]
	if !ok {
		return nil, fault.New(fault.Invalid, "bundle: decode: a model of kind %q, which this version of troupe does not know", m.Model)
	}
	out := &Bundle{Kind: m.Model, Encoder: new(features.Encoder), Target: new(features.Target)}
	docs := map[string]any{signaturePart: &out.Signature, encoderPart: out.Encoder, targetPart: out.Target, metricsPart: &out.Metrics}
	if _, ok := p[pipelinePart]; ok {
		out.Pipeline = new(features.Pipeline)
		docs[pipelinePart] = out.Pipeline
	}
	for name, doc := range docs {
		if err := strict(p[name], doc); err != nil {
			return nil, corrupt("%s: %w", name, err)
		}
	}
	if out.Model, err = load(p[modelPart]); err != nil {
		return nil, corrupt("%s: %w", modelPart, err)
	}
	if profile, ok := p[profilePart]; ok {
		out.Profile = new(drift.Profile)
		if err := out.Profile.UnmarshalBinary(profile); err != nil {
			return nil, corrupt("%s: %w", profilePart, err)
		}
	}
	if err := out.check(); err != nil {
		return nil, corrupt("the parts do not fit together: %w", err)
	}
	if err := out.decodeGolden(p); err != nil {
		return nil, err
	}
	return out, out.CheckGolden()
}

func (b *Bundle) decodeGolden(p parts) error {
	if _, ok := p[goldenPart]; !ok {
		return nil
	}
	var err error
	if b.golden, err = fromParquet(p[goldenPart], goldenPart); err == nil {
		b.expected, err = fromParquet(p[expectedPart], expectedPart)
	}
	if err != nil {
		return corrupt("%w", err)
	}
	return nil
}

// toParquet writes one batch as a file.
func toParquet(b *data.Batch) ([]byte, error) {
	var file bytes.Buffer
	w, err := parquet.NewWriter(&file, b.Schema, parquet.DefaultWriterConfig())
	if err != nil {
		return nil, err
	}
	if err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// fromParquet reads a file of one row group.
func fromParquet(file []byte, name string) (*data.Batch, error) {
	f, err := parquet.Open(bytes.NewReader(file), int64(len(file)), name)
	if err != nil {
		return nil, err
	}
	if f.NumRowGroups() != 1 {
		return nil, fault.New(fault.Corrupt, "%s: %d row groups, expected 1", name, f.NumRowGroups())
	}
	return f.ReadRowGroup(context.Background(), 0, nil)
}
