package predictor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/registry"
	registered "github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

var signature = data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}, {Name: "y", Type: data.Float64, Nullable: true}}}

// train fits a small real model to points left and right of a line. Another seed
// is another model.
func train(seed uint64) (*bundle.Bundle, error) {
	const n = 200
	g := rng.New(seed, "predictor test")
	rows := &data.Batch{Schema: signature, NumRows: n, Columns: []*data.Column{data.NewColumn(data.Float64, n), data.NewColumn(data.Float64, n)}}
	label := data.Field{Name: "side", Type: data.String}
	sides := data.NewColumn(data.String, n)
	sides.Dict = []string{"left", "right"}
	for i := range n {
		rows.Columns[0].Float64s[i], rows.Columns[1].Float64s[i] = g.NormFloat64(), g.NormFloat64()
		if rows.Columns[0].Float64s[i]+rows.Columns[1].Float64s[i] > 0 {
			sides.Codes[i] = 1
		}
	}
	labels := &data.Batch{Schema: data.Schema{Fields: []data.Field{label}}, NumRows: n, Columns: []*data.Column{sides}}
	b := &bundle.Bundle{Signature: signature, Kind: bundle.MLP}
	if err := fit(b, rows, labels, label); err != nil {
		return nil, err
	}
	golden := &data.Batch{Schema: signature, NumRows: 4}
	for _, c := range rows.Columns {
		golden.Columns = append(golden.Columns, &data.Column{Type: c.Type, Float64s: c.Float64s[:4]})
	}
	return b, b.SetGolden(golden)
}

func fit(b *bundle.Bundle, rows, labels *data.Batch, label data.Field) error {
	encoder, err := features.NewEncoder(signature.Fields, features.DefaultEncoderConfig())
	if err != nil {
		return err
	}
	encoding := encoder.NewState()
	if err := encoding.Observe(rows, nil); err != nil {
		return err
	}
	if b.Encoder, err = encoder.Fit(encoding); err != nil {
		return err
	}
	target, err := features.NewTarget(metrics.Binary, label)
	if err != nil {
		return err
	}
	classes := target.NewState()
	if err := classes.Observe(labels, nil); err != nil {
		return err
	}
	if b.Target, err = target.Fit(classes); err != nil {
		return err
	}
	table := models.Table{NumRows: rows.NumRows, NumFeatures: b.Encoder.NumFeatures(), X: make([]float32, rows.NumRows*b.Encoder.NumFeatures()), Y: make([]float32, rows.NumRows)}
	if err := b.Encoder.Encode(rows, table.X); err != nil {
		return err
	}
	if _, err := b.Target.Encode(labels, table.Y); err != nil {
		return err
	}
	cfg := neural.DefaultConfig()
	cfg.Hidden, cfg.Epochs, cfg.BatchSize = []int{4}, 3, 50
	estimator, err := neural.New(cfg, models.Problem{Task: metrics.Binary, NumClasses: 2})
	if err != nil {
		return err
	}
	b.Model, err = estimator.Fit(context.Background(), collective.Solo{}, table, models.Table{NumFeatures: table.NumFeatures}, models.Options{})
	return err
}

// deploy registers a bundle's bytes as the next version of name and moves an
// environment to it.
func deploy(st store.Store, name, environment string, text []byte) error {
	ctx, reg := context.Background(), registry.Open(st)
	now := clock.Real{}.Now()
	d, err := st.Blobs.Put(ctx, text)
	if err != nil {
		return err
	}
	v, err := reg.Models.Register(ctx, name, registered.Version{Digest: d, Created: now})
	if err == nil {
		_, err = reg.Models.MoveAlias(ctx, name, environment, registered.Move{Version: v.Number, Time: now}, registered.AnyVersion)
	}
	return err
}

func trained(t testing.TB, seed uint64) (*bundle.Bundle, []byte) {
	t.Helper()
	b, err := train(seed)
	require.NoError(t, err)
	text, err := b.Encode()
	require.NoError(t, err)
	return b, text
}

// bare is a predictor over a store, without an actor: it knows nobody to ask.
func bare(t testing.TB, st store.Store, cfg Config) *Predictor {
	t.Helper()
	p := Parts{Config: cfg, Registry: registry.Open(st), Blobs: st.Blobs, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Predictor{parts: p, shelf: newShelf(p), ctx: ctx, cancel: cancel, pending: map[uint64]question{}, silent: map[Peer]time.Time{}}
	t.Cleanup(func() { cancel(); d.shelf.close() })
	return d
}

func rowsOf(n int, seed uint64) []json.RawMessage {
	g := rng.New(seed, "rows")
	rows := make([]json.RawMessage, n)
	for i := range rows {
		rows[i] = fmt.Appendf(nil, `{"x": %v, "y": %v}`, g.NormFloat64(), g.NormFloat64())
	}
	return rows
}

// oracle is what the bundle says of the rows in one batch.
func oracle(t testing.TB, b *bundle.Bundle, version string, rows []json.RawMessage) []Answer {
	t.Helper()
	in, faults := b.Rows(rows)
	require.Empty(t, faults)
	p, err := b.Predict(in)
	require.NoError(t, err)
	answers := make([]Answer, p.NumRows)
	for i := range answers {
		prediction, probability, all := p.Row(i)
		best := float64(probability)
		answers[i] = Answer{Prediction: prediction, Probability: &best, ClassProbabilities: []float64{float64(all[0]), float64(all[1])}, ModelVersion: version}
	}
	return answers
}

// Whoever asks together with whomever, everybody gets the bits that one batch
// over all rows gives.
func TestRequestsThatComeTogetherAreAnsweredAsIfAlone(t *testing.T) {
	t.Parallel()
	b, text := trained(t, 1)
	st := memory.New()
	require.NoError(t, deploy(st, "m", "production", text))
	d := bare(t, st, DefaultConfig())
	const clients, each = 16, 20
	errs := make([]error, clients)
	var all sync.WaitGroup
	for c := range clients {
		rows := rowsOf(each, uint64(c))
		want := oracle(t, b, "m/1", rows)
		all.Go(func() {
			for i := 0; i < each; {
				n := min(1+(c+i)%3, each-i)
				got, err := d.Predict(context.Background(), "m", rows[i:i+n])
				if err == nil && !equal(got, want[i:i+n]) {
					err = fmt.Errorf("rows %d to %d: %+v, want %+v", i, i+n, got, want[i:i+n])
				}
				errs[c] = errors.Join(errs[c], err)
				i += n
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []string{"m"}, d.Served())
}

func equal(a, b []Answer) bool {
	return slices.EqualFunc(a, b, func(x, y Answer) bool {
		return x.Prediction == y.Prediction && *x.Probability == *y.Probability && slices.Equal(x.ClassProbabilities, y.ClassProbabilities) && x.ModelVersion == y.ModelVersion
	})
}

// gathered gives a batcher several requests at once and returns their replies.
func gathered(b *batcher, requests ...[]json.RawMessage) []reply {
	batch := make([]*request, len(requests))
	for i, rows := range requests {
		batch[i] = &request{context.Background(), rows, make(chan reply, 1)}
	}
	b.answer(batch)
	out := make([]reply, len(requests))
	for i, r := range batch {
		out[i] = <-r.done
	}
	return out
}

func TestNobodySuffersFromTheRowsOfOthers(t *testing.T) {
	t.Parallel()
	model, text := trained(t, 1)
	st := memory.New()
	require.NoError(t, deploy(st, "m", "production", text))
	d := bare(t, st, DefaultConfig())
	require.NoError(t, d.shelf.refresh(context.Background()))
	good := rowsOf(3, 7)
	bad := []json.RawMessage{good[0], json.RawMessage(`{"x": "wide", "z": 1}`)}
	got := gathered(d.shelf.find("m@production"), good[:1], bad, good[1:])
	require.True(t, equal(oracle(t, model, "m/1", good), append(got[0].answers, got[2].answers...)))
	var fields FieldErrors
	require.ErrorAs(t, got[1].err, &fields)
	require.Equal(t, fault.Invalid, fault.Of(got[1].err))
	require.Equal(t, 1, fields[0].Row, "counted from the request's own first")
	require.Equal(t, "x", fields[0].Field)
	require.Equal(t, "z", fields[1].Field)
}

func TestADeploymentIsFoundWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	one, first := trained(t, 1)
	two, second := trained(t, 2)
	st := memory.New()
	d := bare(t, st, DefaultConfig())
	rows := rowsOf(2, 3)
	_, err := d.Predict(context.Background(), "m", rows)
	require.Equal(t, fault.NotFound, fault.Of(err))
	require.ErrorContains(t, err, "no version of m is deployed to production")
	require.NoError(t, deploy(st, "m", "production", first))
	got, err := d.Predict(context.Background(), "m", rows)
	require.NoError(t, err)
	require.True(t, equal(oracle(t, one, "m/1", rows), got))
	_, err = d.Predict(context.Background(), "m@staging", rows)
	require.Equal(t, fault.NotFound, fault.Of(err))
	require.NoError(t, deploy(st, "m", "staging", second))
	got, err = d.Predict(context.Background(), "m@staging", rows)
	require.NoError(t, err)
	require.True(t, equal(oracle(t, two, "m/2", rows), got))
	for _, name := range []string{"", "@production", "m@"} {
		_, err := d.Predict(context.Background(), name, rows)
		require.Equal(t, fault.Invalid, fault.Of(err), name)
	}
}

// Everybody who asks while an environment moves is answered by the old version
// or the new one.
func TestMovingAnEnvironmentLosesNobody(t *testing.T) {
	t.Parallel()
	one, first := trained(t, 1)
	two, second := trained(t, 2)
	st := memory.New()
	require.NoError(t, deploy(st, "m", "production", first))
	d := bare(t, st, DefaultConfig())
	rows := rowsOf(2, 3)
	want := map[string][]Answer{"m/1": oracle(t, one, "m/1", rows), "m/2": oracle(t, two, "m/2", rows)}
	errs := make([]error, 4)
	seen := make([]map[string]bool, len(errs))
	moved := make(chan struct{})
	var all sync.WaitGroup
	for c := range errs {
		seen[c] = map[string]bool{}
		all.Go(func() {
			for after := 0; after < 20 && errs[c] == nil; {
				select {
				case <-moved:
					after++
				default:
				}
				got, err := d.Predict(context.Background(), "m", rows)
				if err == nil && !equal(got, want[got[0].ModelVersion]) {
					err = fmt.Errorf("%+v", got)
				}
				if errs[c] = err; err == nil {
					seen[c][got[0].ModelVersion] = true
				}
			}
		})
	}
	require.NoError(t, deploy(st, "m", "production", second))
	require.NoError(t, d.shelf.refresh(context.Background()))
	close(moved)
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	for _, versions := range seen {
		require.True(t, versions["m/2"])
	}
	require.Len(t, d.shelf.versions, 1, "the old one is let go of")
}

func TestABrokenModelLeavesTheOneBeforeInItsPlace(t *testing.T) {
	t.Parallel()
	_, text := trained(t, 1)
	st := memory.New()
	require.NoError(t, deploy(st, "m", "production", text))
	d := bare(t, st, DefaultConfig())
	require.NoError(t, d.shelf.refresh(context.Background()))
	damaged := slices.Clone(text)
	damaged[len(damaged)/2] ^= 1
	require.NoError(t, deploy(st, "m", "production", damaged))
	require.NoError(t, deploy(st, "m", "staging", damaged))
	require.NoError(t, d.shelf.refresh(context.Background()))
	got, err := d.Predict(context.Background(), "m", rowsOf(1, 1))
	require.NoError(t, err)
	require.Equal(t, "m/1", got[0].ModelVersion)
	_, err = d.Predict(context.Background(), "m@staging", rowsOf(1, 1))
	require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "m/2")
}

// impatient is a clock on which nobody may wait.
type impatient struct {
	clock.Real
	t *testing.T
}

func (c impatient) After(time.Duration) <-chan time.Time {
	c.t.Error("a request waits although it is alone")
	return nil
}

func TestARequestThatIsAloneDoesNotWait(t *testing.T) {
	t.Parallel()
	_, text := trained(t, 1)
	st := memory.New()
	require.NoError(t, deploy(st, "m", "production", text))
	d := bare(t, st, DefaultConfig())
	d.parts.Clock, d.shelf.parts.Clock = impatient{t: t}, impatient{t: t}
	for range 20 {
		_, err := d.Predict(context.Background(), "m", rowsOf(1, 1))
		require.NoError(t, err)
	}
}

// A busy batcher waits for as many as the last time, and takes all that is there.
func TestABusyPredictorGathers(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Loops, cfg.Window, cfg.MaxBatchRows = 0, time.Hour, 8
	model, _ := trained(t, 1)
	d := bare(t, memory.New(), cfg)
	b := d.shelf.start("m/1", model)
	requests := make([]*request, 12)
	for i := range requests {
		requests[i] = &request{context.Background(), rowsOf(1, 1), make(chan reply, 1)}
	}
	for _, r := range requests[1:4] {
		b.queue <- r
	}
	require.Equal(t, requests[:4], b.gather(requests[0], 1), "what waits goes together")
	got := make(chan []*request)
	go func() { got <- b.gather(requests[0], 3) }()
	b.queue <- requests[1]
	b.queue <- requests[2]
	require.Len(t, <-got, 3, "as many as the last time")
	for _, r := range requests[1:] {
		b.queue <- r
	}
	require.Len(t, b.gather(requests[0], 1), cfg.MaxBatchRows, "no more than there is room for")
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Loops, cfg.MaxWaiting = 0, 1 // nobody works
	model, _ := trained(t, 1)
	d := bare(t, memory.New(), cfg)
	b := d.shelf.start("m/1", model)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.predict(ctx, rowsOf(1, 1))
	require.Equal(t, fault.Canceled, fault.Of(err))
	_, err = b.predict(context.Background(), rowsOf(1, 1))
	require.Equal(t, fault.Exhausted, fault.Of(err))
}

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Window: -1}.Validate()
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, word := range []string{"poll", "window", "max_batch_rows", "loops", "max_waiting", "peer_timeout"} {
		require.ErrorContains(t, err, "predictor: "+word)
	}
}

func BenchmarkPredict(b *testing.B) {
	_, text := trained(b, 1)
	st := memory.New()
	require.NoError(b, deploy(st, "m", "production", text))
	d := bare(b, st, DefaultConfig())
	rows := rowsOf(1, 1)
	b.Run("one at a time", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Predict(context.Background(), "m", rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("32 at a time", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := d.Predict(context.Background(), "m", rows); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
