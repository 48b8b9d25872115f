package run

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/parity"
)

// comparing is a comparison of batches with single rows on its way.
type comparing struct {
	*work
	data     *Dataset
	pipeline *features.Pipeline // nil: the model has none
	model    *bundle.Bundle     // nil: there is none
	windows  bool               // they are computed, not given
	columns  []string           // of the input that are read
	seen     int64              // rows that count
	picked   []picked           // by shard
	mute     atomic.Int64       // rows that no request can say
}

// picked are rows of one shard that are compared.
type picked struct {
	numbers []int64 // ascending
	in      *data.Batch
	made    *data.Batch // what the batch they are of became
}

// comparing finds what is compared: the last stage before it has been done.
func (w *work) comparing() (*comparing, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return nil, err
	}
	c := &comparing{work: w, data: s.Input}
	var err error
	if w.spec.Predict != nil {
		if c.model, err = w.load(w.ctx, s.Model.Digest); err == nil {
			c.pipeline = c.model.Pipeline
		}
	} else if c.pipeline, err = w.ready(&s); err == nil {
		c.pipeline, err = c.pipeline.WithKeep()
	}
	if err != nil {
		return nil, err
	}
	var names []string
	if c.model != nil {
		names = c.model.Signature.Names()
	}
	if p := c.pipeline; p != nil {
		w.attach(&s, p, p.NumPasses())
		c.windows = c.data.windows != nil
		names = append(names, p.Inputs()...)
		for _, level := range p.WindowLevels() {
			if c.windows {
				names = append(names, p.Windows(level).Inputs()...)
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(c.columns, name) && !c.data.windows.has(name) {
			c.columns = append(c.columns, name)
		}
	}
	return c, nil
}

// each calls fn for every shard, several at a time.
func (c *comparing) each(fn func(ctx context.Context, shard int) error) error {
	workers := max(1, min(c.Threads, runtime.GOMAXPROCS(0)))
	c.data.maxBytes = c.Memory / int64(workers)
	g, ctx := errgroup.WithContext(c.ctx)
	g.SetLimit(workers)
	for shard := range c.data.Shards {
		g.Go(func() error { return fn(ctx, shard) })
	}
	return g.Wait()
}

// choose takes a sample of the entities, each with its rows in order of time; of
// single rows, where no feature looks at others.
func (c *comparing) choose(most int) ([][]parity.Row, error) {
	sample := parity.NewSample(most)
	var mu sync.Mutex
	var entity []string
	timestamp := ""
	columns := []string{c.data.Schema.Fields[0].Name} // to count the rows
	if c.windows {
		cfg := c.pipeline.Config()
		entity, timestamp = cfg.Entity, cfg.Timestamp
		columns = append(without(entity, timestamp), timestamp)
	}
	err := c.each(func(ctx context.Context, shard int) error {
		return c.data.readShard(ctx, shard, columns, func(b *data.Batch, at rowNumbers) error {
			of := entitiesOf(b, at.numbers(), entity, timestamp)
			mu.Lock()
			defer mu.Unlock()
			c.seen += int64(b.NumRows)
			for i, k := range of.keys {
				sample.Add(k, of.rows[i])
			}
			return nil
		})
	})
	return sample.Entities(), err
}

// owned are the rows of a batch and whose they are.
type owned struct {
	keys []parity.Key
	rows []parity.Row
}

// entitiesOf says whose the rows of a batch are. Rows that belong to nobody are
// each an entity of its own, and so are all rows when there is no timestamp.
func entitiesOf(b *data.Batch, numbers []int64, entity []string, timestamp string) owned {
	o := owned{keys: make([]parity.Key, len(numbers)), rows: make([]parity.Row, len(numbers))}
	var who []*data.Column
	for _, name := range entity {
		who = append(who, b.Column(name))
	}
	if len(who) > 0 {
		o.keys = parity.Keys(who...)
	}
	when := b.Column(timestamp)
	for i, n := range numbers {
		o.rows[i].Number = n
		if when == nil || !when.Valid.Get(i) || slices.ContainsFunc(who, func(c *data.Column) bool { return !c.Valid.Get(i) }) {
			o.keys[i] = parity.NumberKey(n)
			continue
		}
		switch when.Type {
		case data.Date:
			o.rows[i].Time = int64(when.Int32s[i]) * 24 * 3600 * 1e6
		case data.Int32:
			o.rows[i].Time = int64(when.Int32s[i])
		default:
			o.rows[i].Time = when.Int64s[i]
		}
	}
	return o
}

// pick computes the features of all batches that hold a row of the sample, and
// keeps that row.
func (c *comparing) pick(entities [][]parity.Row) error {
	var numbers []int64
	for _, e := range entities {
		for _, r := range e {
			numbers = append(numbers, r.Number)
		}
	}
	slices.Sort(numbers)
	made, err := c.schema()
	if err != nil {
		return err
	}
	var in data.Schema
	for _, name := range c.columns {
		in.Fields = append(in.Fields, c.data.Schema.Fields[c.data.Schema.Index(name)])
	}
	const share = 4 // of the memory
	if need := int64(len(numbers)) * (rowBytes(in) + rowBytes(made)); c.Memory > 0 && need > c.Memory/share {
		return fault.New(fault.Exhausted, "parity: %d rows take %d MiB, and a quarter of the memory is %d MiB: compare fewer rows (--rows), or allow for more memory (--memory)",
			len(numbers), need>>20, c.Memory/share>>20)
	}
	columns := slices.Clone(c.columns)
	if c.windows {
		columns = append(columns, c.pipeline.WindowNames()...)
	}
	c.picked = make([]picked, len(c.data.Shards))
	return c.each(func(ctx context.Context, shard int) error {
		first := c.data.Shards[shard].FirstRow
		from, _ := slices.BinarySearch(numbers, first)
		to, _ := slices.BinarySearch(numbers, first+c.data.Shards[shard].Rows)
		if from == to {
			return nil
		}
		p, err := c.pickShard(ctx, shard, columns, in, made, numbers[from:to])
		c.picked[shard] = p
		return err
	})
}

func (c *comparing) pickShard(ctx context.Context, shard int, columns []string, in, made data.Schema, numbers []int64) (picked, error) {
	rows, outs := data.NewAppend(in), data.NewAppend(made)
	left := numbers
	err := c.data.readPieces(ctx, shard, columns, rowBytes(made), func(b *data.Batch, at rowNumbers) error {
		there := at.numbers()
		if len(left) == 0 || len(there) == 0 || left[0] > there[len(there)-1] {
			return nil
		}
		became, err := c.apply(b)
		if err != nil {
			return err
		}
		own := &data.Piece{Batch: selected(b, in)}
		out := &data.Piece{Batch: became}
		for i, n := range there {
			if len(left) > 0 && left[0] == n {
				rows.Add(own, i, i+1)
				outs.Add(out, i, i+1)
				left = left[1:]
			}
		}
		return nil
	})
	if err == nil && len(left) > 0 {
		err = fault.New(fault.Conflict, "parity: row %d was there and is not any more: the input must not change", left[0])
	}
	return picked{numbers: numbers, in: rows.Batch(), made: outs.Batch()}, err
}

// selected returns columns of a batch.
func selected(b *data.Batch, s data.Schema) *data.Batch {
	out := &data.Batch{Schema: s, NumRows: b.NumRows}
	for _, f := range s.Fields {
		out.Columns = append(out.Columns, b.Column(f.Name))
	}
	return out
}

// schema is that of what is compared: features, then predictions.
func (c *comparing) schema() (s data.Schema, err error) {
	if c.pipeline != nil {
		if s, err = c.pipeline.OutputSchema(); err != nil {
			return s, err
		}
	}
	if c.model == nil {
		return s, nil
	}
	fields, err := c.model.OutputFields(s.Names())
	return data.Schema{Fields: slices.Concat(s.Fields, fields)}, err
}

// apply computes what is compared, of a batch of any number of rows.
func (c *comparing) apply(b *data.Batch) (*data.Batch, error) {
	out := &data.Batch{NumRows: b.NumRows}
	if c.pipeline != nil {
		made, err := c.pipeline.Apply(b)
		if err != nil {
			return nil, err
		}
		out.Schema.Fields, out.Columns = append(out.Schema.Fields, made.Schema.Fields...), append(out.Columns, made.Columns...)
	}
	if c.model == nil {
		return out, nil
	}
	p, err := c.model.Predict(b)
	if err != nil {
		return nil, err
	}
	fields, err := c.model.OutputFields(out.Schema.Names())
	out.Schema.Fields, out.Columns = append(out.Schema.Fields, fields...), append(out.Columns, p.Columns()...)
	return out, err
}

// applyAlone computes what is compared of one row. What a model predicts of it goes
// the way of a request: it is written as JSON and read again.
func (c *comparing) applyAlone(row *data.Batch) (*data.Batch, error) {
	if c.model == nil {
		return c.apply(row)
	}
	request, ok := parity.Request(row, c.model.Signature)
	if !ok {
		c.mute.Add(1)
		return c.apply(row)
	}
	read, faults := c.model.Rows([]json.RawMessage{request})
	if len(faults) > 0 {
		return nil, fault.New(fault.Internal, "parity: column %q: a row alone is refused: %s", faults[0].Field, faults[0].Message)
	}
	return c.apply(read)
}

// tallies returns one for each feature, and one for the predictions.
func (c *comparing) tallies() ([]*parity.Tally, error) {
	var out []*parity.Tally
	if c.pipeline != nil {
		outputs := c.pipeline.Outputs()
		for i, s := range c.pipeline.Config().Steps {
			out = append(out, &parity.Tally{Name: s.Name, Op: s.Op, Columns: data.Schema{Fields: outputs[i]}.Names()})
		}
	}
	if c.model != nil {
		fields, err := c.model.OutputFields(nil)
		if err != nil {
			return nil, err
		}
		out = append(out, &parity.Tally{Name: "prediction", Op: c.model.Kind, Columns: data.Schema{Fields: fields}.Names()})
	}
	return out, nil
}

// compare computes every row alone and holds it against what its batch became.
func (c *comparing) compare(entities [][]parity.Row) ([]*parity.Tally, error) {
	all, err := c.tallies()
	if err != nil {
		return nil, err
	}
	next := make(chan []parity.Row, len(entities))
	for _, e := range entities {
		next <- e
	}
	close(next)
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(c.ctx)
	for range max(1, min(c.Threads, runtime.GOMAXPROCS(0))) {
		g.Go(func() error {
			own, err := c.tallies()
			if err != nil {
				return err
			}
			online := &parity.Online{}
			if c.windows {
				online = parity.NewOnline(c.pipeline)
			}
			for entity := range next {
				if err := c.entity(ctx, online, entity, own); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i, t := range own {
				all[i].Merge(t)
			}
			return nil
		})
	}
	return all, g.Wait()
}

// entity compares the rows of one entity.
func (c *comparing) entity(ctx context.Context, online *parity.Online, rows []parity.Row, tallies []*parity.Tally) error {
	if err := online.Begin(); err != nil {
		return err
	}
	for _, r := range rows {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		shard := sort.Search(len(c.data.Shards), func(i int) bool { return c.data.Shards[i].FirstRow > r.Number }) - 1
		p := &c.picked[shard]
		at, _ := slices.BinarySearch(p.numbers, r.Number)
		row, err := online.Row(parity.Alone(p.in, at), r.Time)
		if err != nil {
			return err
		}
		alone, err := c.applyAlone(row)
		if err != nil {
			return err
		}
		for _, t := range tallies {
			if err := t.Compare(p.made, at, alone, r.Number); err != nil {
				return err
			}
		}
	}
	return nil
}
