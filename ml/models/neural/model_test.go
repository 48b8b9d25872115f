package neural

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// someModel is a model that has seen no rows.
func someModel(t *testing.T, p models.Problem, a Activation, widths ...int) *Model {
	t.Helper()
	last := len(widths) - 1
	s, err := newShape(widths[0], widths[1:last], widths[last], extras{})
	require.NoError(t, err)
	target := standard{std: 1}
	if p.Task == metrics.Regression {
		target = standard{mean: 1.0 / 3, std: 1e3 / 7.0}
	}
	m, err := newModel(network{shape: s, activation: a, problem: p}, target, s.initial(3))
	require.NoError(t, err)
	return m
}

// richModel is one with norms, residual blocks and embeddings.
func richModel(t *testing.T, norm Norm) *Model {
	t.Helper()
	s, err := newShape(7, []int{20, 20}, 3, extras{norm, []Embedding{{1, 5, 4}, {6, 3, 18}}})
	require.NoError(t, err)
	m, err := newModel(network{shape: s, activation: GELU, residual: true, problem: three}, standard{std: 1}, s.initial(3))
	require.NoError(t, err)
	if norm == BatchNorm {
		m.updates = 77
		for i := range s.layers[:2] {
			mean, variance := s.running(s.runningOf(m.weights), i)
			for j := range 20 {
				mean[j], variance[j] = float32(j)-9, 0.1*float32(j+1)
			}
		}
	}
	return m
}

var three = models.Problem{Task: metrics.Multiclass, NumClasses: 3}

func TestARowsPredictionDoesNotDependOnItsNeighbours(t *testing.T) {
	t.Parallel()
	for _, m := range []*Model{
		someModel(t, three, ReLU, 7, 40, 20, 3), someModel(t, twoClasses, Tanh, 7, 17, 2), someModel(t, regression, Sigmoid, 7, 33, 1),
		someModel(t, regression, ReLU, 7, 1), richModel(t, LayerNorm), richModel(t, BatchNorm),
	} {
		const rows = 700
		outputs := m.Problem().NumOutputs()
		x, all := make([]float32, rows*7), make([]float32, rows*outputs)
		r := rng.New(1, "rows")
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		require.NoError(t, m.Predict(x, rows, all))
		for range 50 {
			first := r.IntN(rows)
			n := 1 + r.IntN(rows-first)
			part := make([]float32, n*outputs)
			require.NoError(t, m.Predict(x[first*7:(first+n)*7], n, part))
			require.Equal(t, all[first*outputs:(first+n)*outputs], part)
		}
		if m.Problem().NumClasses == 0 {
			continue
		}
		for i := range rows {
			sum := float32(0)
			for _, p := range all[i*outputs : (i+1)*outputs] {
				sum += p
			}
			require.InDelta(t, 1, sum, 1e-6)
		}
	}
}

func TestPredictIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := someModel(t, three, Tanh, 4, 30, 3)
	table := blobs(1, 500, 4, 3)
	want := make([]float32, 1500)
	require.NoError(t, m.Predict(table.X, 500, want))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				got := make([]float32, 1500)
				if err := m.Predict(table.X, 500, got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("another prediction, %v", err)
				}
			}
		})
	}
	all.Wait()
}

func TestPredictRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	m := someModel(t, three, ReLU, 4, 8, 3)
	nan := float32(0)
	nan /= nan
	for want, f := range map[string]func() error{
		"7 values and room for 6":    func() error { return m.Predict(make([]float32, 7), 2, make([]float32, 6)) },
		"8 values and room for 5":    func() error { return m.Predict(make([]float32, 8), 2, make([]float32, 5)) },
		"for -1 rows":                func() error { return m.Predict(nil, -1, nil) },
		"the prediction of row 1 is": func() error { return m.Predict([]float32{0, 0, 0, 0, 0, nan, 0, 0}, 2, make([]float32, 6)) },
	} {
		err := f()
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Invalid, fault.Of(err), want)
	}
	require.NoError(t, m.Predict(nil, 0, nil))
}

func TestModelsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, m := range []*Model{
		someModel(t, three, ReLU, 7, 40, 20, 3), someModel(t, twoClasses, Tanh, 1, 1, 2), someModel(t, regression, Sigmoid, 7, 33, 1),
		someModel(t, regression, ReLU, 3, 1), richModel(t, LayerNorm), richModel(t, BatchNorm),
	} {
		b, err := m.MarshalBinary()
		require.NoError(t, err)
		back, err := Load(b)
		require.NoError(t, err)
		assert.Equal(t, m.Problem(), back.Problem())
		assert.Equal(t, m.NumFeatures(), back.NumFeatures())
		assert.Equal(t, m.target, back.target)
		again, err := back.MarshalBinary()
		require.NoError(t, err)
		assert.Equal(t, b, again)
		x := blobs(1, 9, m.NumFeatures(), 2).X
		want, got := make([]float32, 9*m.Problem().NumOutputs()), make([]float32, 9*m.Problem().NumOutputs())
		require.NoError(t, m.Predict(x, 9, want))
		require.NoError(t, back.Predict(x, 9, got))
		assert.Equal(t, want, got)
	}
}

// A file as another program would write it: PyTorch's layout, no checksum.
func TestLoadReadsWeightsOfOtherPrograms(t *testing.T) {
	t.Parallel()
	metadata := map[string]string{"format": "troupe.neural", "version": "1", "task": "regression", "activation": "relu", "target_mean": "10", "target_std": "2"}
	b, err := encodeTensors(metadata, []array{
		{name: "layers.0.bias", shape: []int{3}, values: []float32{0.5, 0, -1}},
		{name: "layers.0.weight", shape: []int{3, 2}, values: []float32{1, 2, 3, 4, -5, -6}},
		{name: "layers.1.weight", shape: []int{1, 3}, values: []float32{1, 0.5, 2}},
		{name: "layers.1.bias", shape: []int{1}, values: []float32{0.25}},
	})
	require.NoError(t, err)
	m, err := Load(b)
	require.NoError(t, err)
	out := make([]float32, 1)
	require.NoError(t, m.Predict([]float32{1, -2}, 1, out))
	// relu(1-4+.5, 3-8, -5+12-1) = (0, 0, 6), and 6*2 + .25 = 12.25, in units of 2 from 10
	assert.InDelta(t, 10+2*12.25, out[0], 1e-5)
}

func TestDamagedModelsAreCorrupt(t *testing.T) {
	t.Parallel()
	for _, m := range []*Model{someModel(t, three, Tanh, 2, 3, 3), someModel(t, regression, ReLU, 3, 1)} {
		b, err := m.MarshalBinary()
		require.NoError(t, err)
		for i := range b {
			for _, flip := range []byte{1, 0x80} {
				bad := append([]byte(nil), b...)
				bad[i] ^= flip
				_, err := Load(bad)
				require.Error(t, err, "byte %d of %d", i, len(b))
				if !strings.Contains(err.Error(), "a model of version") {
					assert.Equal(t, fault.Corrupt, fault.Of(err), "byte %d: %v", i, err)
				}
			}
		}
		for i := range b {
			_, err := Load(b[:i])
			require.Error(t, err)
			require.Equal(t, fault.Corrupt, fault.Of(err))
		}
		_, err = Load(append(b, 0))
		require.Equal(t, fault.Corrupt, fault.Of(err))
	}
}

func TestOddModelsAreCorrupt(t *testing.T) {
	t.Parallel()
	file := func(header, data string) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
	}
	const meta = `"__metadata__":{"format":"troupe.neural","version":"1","task":"binary","activation":"relu"}`
	w := `"layers.0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}`
	bias := `"layers.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}`
	zeros := strings.Repeat("\x00", 16)
	_, err := Load(file(`{`+meta+`,`+w+`,`+bias+`}`, zeros))
	require.NoError(t, err)
	for want, b := range map[string][]byte{
		"no tensor begins":          file(`{`+meta+`,`+w+`,"layers.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, zeros),
		"for 20 bytes of data":      file(`{`+meta+`,`+w+`,`+bias+`}`, zeros+"1234"),
		"twice":                     file(`{`+meta+`,`+w+`,`+w+`,`+bias+`}`, zeros),
		"holds F64":                 file(`{`+meta+`,`+strings.Replace(w, "F32", "F64", 1)+`,`+bias+`}`, zeros),
		"a bias of [] after":        file(`{`+meta+`,`+w+`}`, zeros[:8]),
		"has 8 bytes":               file(`{`+meta+`,`+strings.Replace(w, "[2,1]", "[4611686018427387904,4]", 1)+`,`+bias+`}`, zeros),
		"is at [0 80]":              file(`{`+meta+`,`+strings.Replace(w, "[0,8]", "[0,80]", 1)+`,`+bias+`}`, zeros),
		"unknown field":             file(`{`+meta+`,`+strings.Replace(w, "dtype", "kind", 1)+`,`+bias+`}`, zeros),
		"2 outputs for a":           file(`{`+strings.Replace(meta, "binary", "regression", 1)+`,`+w+`,`+bias+`}`, zeros),
		"a number of layers.0.weig": file(`{`+meta+`,`+w+`,`+bias+`}`, "\x00\x00\xc0\x7f"+zeros[4:]),
		"the format is":             file(`{`+w+`,`+bias+`}`, zeros),
		"is no JSON object":         file(`[]`, ""),
		"bytes after its end":       file(`{`+meta+`,`+w+`,`+bias+`}{}`, zeros),
		"a header of 9999999 byte":  append(binary.LittleEndian.AppendUint64(nil, 9999999), zeros...),
	} {
		_, err := Load(b)
		if want == "2 outputs for a" {
			want = "the target's mean is"
		}
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Corrupt, fault.Of(err), want)
	}
	_, err = Load(file(`{`+strings.Replace(meta, `"version":"1"`, `"version":"2"`, 1)+`,`+w+`,`+bias+`}`, zeros))
	require.ErrorContains(t, err, "use the program that wrote it")
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
