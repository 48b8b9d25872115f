package neural

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// Model is a fitted network. It is safe for concurrent use.
type Model struct {
	network network
	target  standard
	weights []float32 // flat
	updates int64     // that running statistics have seen
	idle    sync.Pool // of *predictor
}

var _ models.Model = (*Model)(nil)

// newModel returns a model of the flat weights, which become its own.
func newModel(n network, target standard, weights []float32) (*Model, error) {
	m := &Model{network: n, target: target, weights: weights}
	p, err := n.newPredictor(weights)
	if err != nil {
		return nil, err
	}
	m.idle.Put(p)
	return m, nil
}

// Problem is what was learned.
func (m *Model) Problem() models.Problem { return m.network.problem }

// NumFeatures is the width of the rows that Predict takes.
func (m *Model) NumFeatures() int { return m.network.numFeatures }

// Predict writes the predictions of x, of shape (rows, features), to out, of
// shape (rows, outputs). Errors, of kind Invalid: shapes that do not fit, and a
// row whose prediction is no number, because the row is none.
func (m *Model) Predict(x []float32, numRows int, out []float32) (err error) {
	defer door(&err)
	outputs := m.network.problem.NumOutputs()
	if numRows < 0 || len(x) != numRows*m.NumFeatures() || len(out) != numRows*outputs {
		return fault.New(fault.Invalid, "neural: predict: %d values and room for %d for %d rows of %d features and %d outputs",
			len(x), len(out), numRows, m.NumFeatures(), outputs)
	}
	p, ok := m.idle.Get().(*predictor)
	if !ok {
		if p, err = m.network.newPredictor(m.weights); err != nil {
			return err
		}
	}
	if err := p.predict(x, numRows, out); err != nil {
		return err
	}
	m.idle.Put(p)
	if m.network.problem.Task == metrics.Regression {
		m.target.unscale(out)
	}
	for i, v := range out {
		if !isNumber(v) {
			return fault.New(fault.Invalid, "neural: predict: the prediction of row %d is %v: are its features finite and not extreme?", i/outputs, v)
		}
	}
	return nil
}

// The metadata of a model's file.
const (
	formatKey     = "format"
	format        = "troupe.neural"
	versionKey    = "version"
	version       = "1"
	taskKey       = "task"
	activationKey = "activation"
	meanKey       = "target_mean"
	stdKey        = "target_std"
	normKey       = "norm"       // absent when there is none
	embeddingsKey = "embeddings" // of which features, or absent
	residualKey   = "residual"   // true, or absent
	checksumKey   = "checksum"
)

// MarshalBinary writes the model as a safetensors file: for each layer N, from
// 0, layers.N.weight of shape (outputs, inputs) and layers.N.bias, and for each
// that is normalised norms.N.weight and norms.N.bias, and embeddings.N.weight, as
// PyTorch has them (of a batch norm also norms.N.running_mean, running_var and
// num_batches_tracked), and as metadata what else the model is. Equal models give equal
// bytes.
func (m *Model) MarshalBinary() ([]byte, error) {
	metadata := map[string]string{
		formatKey:     format,
		versionKey:    version,
		taskKey:       string(m.network.problem.Task),
		activationKey: string(m.network.activation),
	}
	if m.network.norm != NoNorm {
		metadata[normKey] = string(m.network.norm)
	}
	if len(m.network.tables) > 0 {
		metadata[embeddingsKey] = m.network.embeddedFeatures()
	}
	if m.network.residual {
		metadata[residualKey] = "true"
	}
	if m.network.problem.Task == metrics.Regression {
		metadata[meanKey] = strconv.FormatFloat(m.target.mean, 'g', -1, 64)
		metadata[stdKey] = strconv.FormatFloat(m.target.std, 'g', -1, 64)
	}
	arrays := append(m.tracked(), m.network.arrays(m.weights)...)
	b, err := encodeTensors(metadata, arrays)
	if err != nil {
		return nil, err
	}
	metadata[checksumKey] = fmt.Sprintf("%016x", xxh3.Hash(b)) // of the file without it
	return encodeTensors(metadata, arrays)
}

// arrays returns the parameters of a flat vector by their names in the file.
func (s shape) arrays(flat []float32) (arrays []array) {
	for i, l := range s.layers {
		w := array{name: weightName(i), shape: []int{l.Out, l.In}, values: make([]float32, l.In*l.Out)}
		l.Unpack(w.values, s.weights(flat, i))
		b := array{name: biasName(i), shape: []int{l.Out}, values: s.bias(flat, i)[:l.Out]}
		arrays = append(arrays, w, b)
	}
	for i, l := range s.layers {
		if l.norm {
			arrays = append(arrays,
				array{name: scaleName(i), shape: []int{l.Out}, values: s.scale(flat, i)[:l.Out]},
				array{name: shiftName(i), shape: []int{l.Out}, values: s.shift(flat, i)[:l.Out]})
		}
		if l.norm && s.norm == BatchNorm {
			mean, variance := s.running(s.runningOf(flat), i)
			arrays = append(arrays,
				array{name: meanName(i), shape: []int{l.Out}, values: mean[:l.Out]},
				array{name: varianceName(i), shape: []int{l.Out}, values: variance[:l.Out]})
		}
	}
	for i, t := range s.tables {
		arrays = append(arrays, array{name: tableName(i), shape: []int{t.Codes, t.Size}, values: t.plainTable(flat)})
	}
	return arrays
}

func weightName(i int) string { return fmt.Sprintf("layers.%d.weight", i) }
func biasName(i int) string   { return fmt.Sprintf("layers.%d.bias", i) }
func scaleName(i int) string  { return fmt.Sprintf("norms.%d.weight", i) }
func shiftName(i int) string  { return fmt.Sprintf("norms.%d.bias", i) }

func meanName(i int) string     { return fmt.Sprintf("norms.%d.running_mean", i) }
func varianceName(i int) string { return fmt.Sprintf("norms.%d.running_var", i) }
func trackedName(i int) string  { return fmt.Sprintf("norms.%d.num_batches_tracked", i) }

// tracked returns how many batches each batch norm has seen, as tensors.
func (m *Model) tracked() (arrays []array) {
	for i, l := range m.network.layers {
		if l.norm && m.network.norm == BatchNorm {
			arrays = append(arrays, array{name: trackedName(i), shape: []int{}, whole: &m.updates})
		}
	}
	return arrays
}

// takeTracked takes what tracked has returned away from a file's tensors, of which
// another program may have left it out.
func (n network) takeTracked(arrays map[string]array) (updates int64, err error) {
	if n.norm != BatchNorm {
		return 0, nil
	}
	for i, seen := 0, false; ; i++ {
		a, ok := arrays[trackedName(i)]
		if !ok {
			return updates, nil
		}
		if a.whole == nil || *a.whole < 0 || seen && *a.whole != updates {
			return 0, damaged("%s is not a number of batches, the same for all", a.name)
		}
		updates, seen = *a.whole, true
		delete(arrays, a.name)
	}
}

// Load reads a model that MarshalBinary has written, or one that another
// program has written likewise; the checksum may be absent then. The error is
// of kind Corrupt when b is anything else, and Invalid when it is of a later
// version.
func Load(b []byte) (m *Model, err error) {
	defer door(&err)
	metadata, arrays, err := decodeTensors(b)
	if err != nil {
		return nil, err
	}
	if metadata[formatKey] != format {
		return nil, damaged("the format is %q, expected %q", metadata[formatKey], format)
	}
	if v := metadata[versionKey]; v != version {
		return nil, fault.New(fault.Invalid, "neural: a model of version %q, this program reads %s: use the program that wrote it", v, version)
	}
	n, target, err := described(metadata)
	if err != nil {
		return nil, err
	}
	updates, err := n.takeTracked(arrays)
	if err != nil {
		return nil, err
	}
	var embeddings []Embedding
	if list, ok := metadata[embeddingsKey]; ok {
		if embeddings, err = embeddingsOf(list, arrays); err != nil {
			return nil, err
		}
	}
	weights, err := n.assemble(arrays, embeddings)
	if err != nil {
		return nil, err
	}
	if m, err = newModel(n, target, weights); err != nil {
		return nil, err
	}
	m.updates = updates
	if _, ok := metadata[checksumKey]; ok {
		if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			return nil, damaged("the checksum is wrong")
		}
	}
	return m, nil
}
