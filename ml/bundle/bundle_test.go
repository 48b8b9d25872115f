package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
)

func TestABundleComesBackTheSame(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, s shape, b *Bundle) {
		file, err := b.Encode()
		require.NoError(t, err)
		again, err := b.Encode()
		require.NoError(t, err)
		require.Equal(t, file, again, "the same bundle is the same bytes")
		back, err := Decode(file)
		require.NoError(t, err)
		again, err = back.Encode()
		require.NoError(t, err)
		require.Equal(t, file, again, "and so is what was read from them")
		assert.Equal(t, b.Signature, back.Signature)
		assert.Equal(t, b.Metrics, back.Metrics)
		assert.Equal(t, 32, back.Golden().NumRows)
		assert.Equal(t, b.Profile.Columns(), back.Profile.Columns())
		assert.Equal(t, s.pipeline, back.Pipeline != nil)

		rows := table(300)
		want, err := b.Predict(rows)
		require.NoError(t, err)
		got, err := back.Predict(rows)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
}

// The models have learned something: else what follows would be of constants.
func TestPredictionsAreOfTheTargetsOwnType(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, s shape, b *Bundle) {
		rows := table(500)
		truth := targetOf(rows, s.target, s.classes)
		p, err := b.Predict(rows)
		require.NoError(t, err)
		fields, err := b.OutputFields([]string{"amount"})
		require.NoError(t, err)
		columns := p.Columns()
		_, err = data.NewBatch(data.Schema{Fields: fields}, columns)
		require.NoError(t, err)
		if s.task == metrics.Regression {
			require.Len(t, columns, 1)
			value, _, _ := p.Row(3)
			assert.InDelta(t, truth.Float64s[3], value, 15)
			assert.Equal(t, p.Values[3], value)
			return
		}
		require.Len(t, columns, 2+s.classes)
		assert.Equal(t, s.target, columns[0].Type)
		right := 0
		for i := range rows.NumRows {
			if same(truth, columns[0], i) {
				right++
			}
			class, probability, all := p.Row(i)
			require.InDelta(t, float64(slices.Max(all)), float64(probability), 0)
			require.Equal(t, math.Float32bits(probability), math.Float32bits(columns[1].Float32s[i]))
			k := slices.Index(all, probability)
			require.Equal(t, fmt.Sprint(class), b.Target.Classes()[k])
			require.Equal(t, "probability_"+fmt.Sprint(class), fields[2+k].Name)
			require.Equal(t, math.Float32bits(probability), math.Float32bits(columns[2+k].Float32s[i]))
		}
		assert.Greater(t, right, rows.NumRows*8/10)
		_, err = b.OutputFields([]string{"probability"})
		require.ErrorContains(t, err, `"probability"`)
		require.Equal(t, fault.Invalid, fault.Of(err))
	})
}

// A row has the same bits alone, in a batch beyond the size of a block, and
// through JSON, whoever predicts beside it.
func TestARowsPredictionDoesNotDependOnItsNeighbours(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, _ shape, b *Bundle) {
		rows := table(blockRows + 1000)
		whole, err := b.Predict(rows)
		require.NoError(t, err)
		texts := toJSON(t, b, rows)
		var wait sync.WaitGroup
		for worker := range 4 {
			wait.Go(func() {
				for _, i := range []int{0, 64, blockRows - 64, blockRows + 64*worker} {
					one, err := b.Predict(slice(rows, i, i+1))
					assert.NoError(t, err)
					batch, faults := b.Rows(texts[i : i+1])
					assert.Empty(t, faults)
					parsed, err := b.Predict(batch)
					assert.NoError(t, err)
					for _, p := range []*Prediction{one, parsed} {
						class, probability, all := p.Row(0)
						wantClass, wantProbability, wantAll := whole.Row(i)
						assert.Equal(t, wantClass, class)
						assert.Equal(t, math.Float32bits(wantProbability), math.Float32bits(probability))
						assert.Equal(t, wantAll, all)
					}
				}
			})
		}
		wait.Wait()
		batch, faults := b.Rows(texts)
		require.Empty(t, faults)
		parsed, err := b.Predict(batch)
		require.NoError(t, err)
		require.Equal(t, whole, parsed)
	})
}

func TestDamageIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	file, err := sample(t, shapes[0]).Encode()
	require.NoError(t, err)
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	require.Len(t, z.File, 10)
	for _, f := range z.File {
		at, err := f.DataOffset()
		require.NoError(t, err)
		b := slices.Clone(file)
		b[at+int64(f.UncompressedSize64)/2] ^= 1
		_, err = Decode(b)
		require.ErrorContains(t, err, f.Name)
		require.Equal(t, fault.Corrupt, fault.Of(err), f.Name)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(file)
		b[rapid.IntRange(2, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err := Decode(b)
		require.Error(t, err)
		require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
		_, err = Decode(file[:rapid.IntRange(0, len(file)-1).Draw(t, "length")])
		require.Error(t, err)
		require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
	})
	_, err = Decode(append(slices.Clone(file), 0))
	require.Equal(t, fault.Corrupt, fault.Of(err))
}

// Parts that are sound each, with a manifest that agrees, and yet no bundle.
func TestPartsThatDoNotBelongTogetherAreCorrupt(t *testing.T) {
	t.Parallel()
	file, err := sample(t, shapes[0]).Encode()
	require.NoError(t, err)
	m, p, err := unpack(file)
	require.NoError(t, err)
	for part, change := range map[string]func(m *manifest, p parts){
		"signature.json":     func(_ *manifest, p parts) { delete(p, signaturePart) },
		"the features need":  func(_ *manifest, p parts) { p[signaturePart] = []byte(`{"fields":[{"name":"x","type":"bool"}]}`) },
		"target.json":        func(_ *manifest, p parts) { p[targetPart] = []byte(`{}`) },
		"encoder.json":       func(_ *manifest, p parts) { p[encoderPart] = []byte(`{"a":1}`) },
		"pipeline.json":      func(_ *manifest, p parts) { p[pipelinePart] = []byte(`[]`) },
		"model":              func(_ *manifest, p parts) { p[modelPart] = p[profilePart] },
		"metrics.json":       func(_ *manifest, p parts) { p[metricsPart] = []byte(`{} {}`) },
		"profile":            func(_ *manifest, p parts) { p[profilePart] = nil },
		"expected.parquet":   func(_ *manifest, p parts) { p[expectedPart] = p[expectedPart][:9] },
		"the predictions di": func(_ *manifest, p parts) { p[expectedPart] = p[goldenPart] },
	} {
		changed := parts{}
		for name, content := range p {
			changed[name] = content
		}
		change(&m, changed)
		b, err := pack(m, changed)
		require.NoError(t, err)
		_, err = Decode(b)
		require.ErrorContains(t, err, part)
		require.Equal(t, fault.Corrupt, fault.Of(err), part)
	}
	for want, change := range map[string]func(m *manifest){
		"format 2":  func(m *manifest) { m.Format = 2 },
		`kind "gb"`: func(m *manifest) { m.Model = "gb" },
	} {
		m := m
		change(&m)
		b, err := pack(m, p)
		require.NoError(t, err)
		_, err = Decode(b)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
	}
}

// An archive that is sound as such, whose manifest speaks of other parts.
func TestPartsThatWereExchangedAreNamed(t *testing.T) {
	t.Parallel()
	file, err := sample(t, shapes[1]).Encode()
	require.NoError(t, err)
	m, p, err := unpack(file)
	require.NoError(t, err)
	text, err := json.MarshalIndent(m, "", "  ")
	require.NoError(t, err)
	write := func(change func(parts)) []byte {
		changed := parts{manifestPart: text}
		for name, content := range p {
			changed[name] = content
		}
		change(changed)
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, name := range changed.names() {
			require.NoError(t, store(z, name, changed[name]))
		}
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	for want, b := range map[string][]byte{
		"metrics.json is not what the manifest says": write(func(p parts) { p[metricsPart] = []byte("{}") }),
		"profile is missing":                         write(func(p parts) { delete(p, profilePart) }),
		"manifest.json is missing":                   write(func(p parts) { delete(p, manifestPart) }),
		"9 parts, and the manifest has 8":            write(func(p parts) { p["zz"] = nil }),
		"changed after it was written":               write(func(parts) {}), // the manifest is not first
	} {
		_, err := Decode(b)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Corrupt, fault.Of(err), want)
	}
}

func TestOfEqualProbabilitiesTheFirstClassIsPredicted(t *testing.T) {
	t.Parallel()
	p, err := sample(t, shapes[2]).prediction(2, []float32{.2, .4, .4, .4, .2, .4})
	require.NoError(t, err)
	assert.Equal(t, []int32{4, -3}, p.Classes.Int32s)
}

// torchFile is a file as torch.save writes them.
func torchFile(t *testing.T) []byte {
	t.Helper()
	var torch bytes.Buffer
	z := zip.NewWriter(&torch)
	w, err := z.Create("archive/data.pkl")
	require.NoError(t, err)
	_, err = w.Write([]byte("\x80\x02}q\x00."))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return torch.Bytes()
}

func TestAPickleIsNeverRead(t *testing.T) {
	t.Parallel()
	for _, file := range [][]byte{[]byte("\x80\x04\x95\x0b\x00."), torchFile(t)} {
		_, err := Decode(file)
		require.ErrorContains(t, err, "safetensors.torch.save_file")
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	_, err := Decode([]byte("\x89HDF\r\n\x1a\n......"))
	require.ErrorContains(t, err, "HDF5")
	for _, file := range []string{"", "PK", "not a model", `{"a": 1}`} {
		_, err := Decode([]byte(file))
		require.Equal(t, fault.Corrupt, fault.Of(err), "%q", file)
	}
}

func TestGoldenRowsAreCheckedToTheBit(t *testing.T) {
	t.Parallel()
	b := train(t, shapes[0]) // of its own, to be spoilt
	require.NoError(t, b.CheckGolden())
	at := &b.expected.Columns[2].Float32s[5]
	*at = math.Nextafter32(*at, 2)
	require.ErrorContains(t, b.CheckGolden(), "golden row 5: probability_false")
	file, err := b.Encode()
	require.NoError(t, err)
	_, err = Decode(file)
	require.Equal(t, fault.Corrupt, fault.Of(err))
	require.Error(t, b.SetGolden(table(0)))
	require.Error(t, b.SetGolden(table(1001)))
}

func TestABatchThatDoesNotFitIsInvalid(t *testing.T) {
	t.Parallel()
	b := sample(t, shapes[1])
	rows := table(10)
	without := &data.Batch{Schema: data.Schema{Fields: rows.Schema.Fields[1:]}, Columns: rows.Columns[1:], NumRows: 10}
	retyped := func(name string, c *data.Column) *data.Batch {
		out := &data.Batch{NumRows: 10, Columns: slices.Clone(rows.Columns), Schema: data.Schema{Fields: slices.Clone(rows.Schema.Fields)}}
		i := out.Schema.Index(name)
		out.Columns[i], out.Schema.Fields[i].Type = c, c.Type
		return out
	}
	nulls := data.NewColumn(data.Int64, 10)
	nulls.Valid = data.NewBitmap(10)
	for want, in := range map[string]*data.Batch{
		`no column "amount"`:                   without,
		`"count" is of type string`:            retyped("count", data.NewColumn(data.String, 10)),
		`"count" is of type float64`:           retyped("count", data.NewColumn(data.Float64, 10)),
		`column "count" has 10 nulls, and the`: retyped("count", nulls),
	} {
		_, err := b.Predict(in)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	// Narrower numbers, columns in another order, and more of them are fine.
	narrow := data.NewColumn(data.Int32, 10)
	for i := range narrow.Int32s {
		narrow.Int32s[i] = int32(rows.Columns[1].Int64s[i])
	}
	other := retyped("count", narrow)
	slices.Reverse(other.Columns)
	slices.Reverse(other.Schema.Fields)
	want, err := b.Predict(rows)
	require.NoError(t, err)
	got, err := b.Predict(other)
	require.NoError(t, err)
	require.Equal(t, want, got)
	none, err := b.Predict(table(0))
	require.NoError(t, err)
	require.Zero(t, none.NumRows)
}

func TestABundleOfPartsThatDoNotFitIsNotWritten(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(b *Bundle){
		"is not set":             func(b *Bundle) { b.Model = nil },
		"is not known":           func(b *Bundle) { b.Kind = "" },
		"twice in the signature": func(b *Bundle) { b.Signature.Fields = slices.Concat(b.Signature.Fields, b.Signature.Fields[:1]) },
		"target is not fitted":   func(b *Bundle) { b.Target = new(features.Target) },
		"has no columns":         func(b *Bundle) { b.Signature = data.Schema{} },
		"features, and the mode": func(b *Bundle) { b.Encoder = sample(t, shapes[1]).Encoder },
		"the model is for bina":  func(b *Bundle) { b.Target = sample(t, shapes[4]).Target },
		"the features need":      func(b *Bundle) { b.Signature.Fields = b.Signature.Fields[1:] },
		"the encoder needs":      func(b *Bundle) { b.Pipeline = nil },
	} {
		b := sample(t, shapes[0])
		change(b)
		_, err := b.Encode()
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

// toJSON writes rows as clients do: by name, nulls now as null and now left out.
func toJSON(t testing.TB, b *Bundle, rows *data.Batch) []json.RawMessage {
	t.Helper()
	out := make([]json.RawMessage, rows.NumRows)
	for i := range out {
		var fields []string
		for _, f := range b.Signature.Fields {
			value := jsonValue(t, f, rows.Column(f.Name), i)
			if value == "null" && i%2 == 0 {
				continue
			}
			fields = append(fields, fmt.Sprintf("%q: %s", f.Name, value))
		}
		out[i] = json.RawMessage("{" + strings.Join(fields, ", ") + "}")
	}
	return out
}
