// Package generate makes sample data: card transactions, a few of them
// fraudulent, for demonstrations, tests and benchmarks. Every row is a function
// of the configuration and its own number, so batches can be made in any order
// and by any number of workers; integers and single roundings alone are used,
// so that every processor makes the same bytes.
package generate

import (
	"fmt"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// Config describes a table of transactions.
type Config struct {
	// Rows is how many there are, spread over Days.
	Rows int64
	// Seed makes another table of the same kind.
	Seed uint64
	// RowsPerGroup is how many rows a batch has. It does not change the rows.
	RowsPerGroup int
	// Users is how many different users there are; some are much busier than
	// others. The same user has the same habits in tables of one seed.
	Users int64
	// Start is the day on which the table begins, at midnight UTC.
	Start time.Time
	// Days is how many days the rows cover, from Start on.
	Days int
	// Drift moves the distributions: 0 not at all, 1 raises amounts by half and
	// brings the shares of the categories half-way to their reverse. What makes
	// a transaction fraudulent stays the same.
	Drift float64
	// FraudRate is about which share of the rows is fraudulent, without drift.
	FraudRate float64
}

// DefaultConfig returns a million transactions of 100,000 users in January
// 2024, a twentieth of them fraudulent, in batches of 131,072.
func DefaultConfig() Config {
	return Config{
		Rows: 1_000_000, Seed: 1, RowsPerGroup: 131_072, Users: 100_000,
		Start: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Days: 30, FraudRate: 0.05,
	}
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Rows < 0 || c.Rows > 1<<40:
		return fault.New(fault.Invalid, "generate: %d rows; use 0 to %d", c.Rows, int64(1)<<40)
	case c.RowsPerGroup < 1 || c.RowsPerGroup > 1<<26:
		return fault.New(fault.Invalid, "generate: %d rows a group; use 1 to %d", c.RowsPerGroup, 1<<26)
	case c.Users < 1 || c.Users > 1<<40:
		return fault.New(fault.Invalid, "generate: %d users; use 1 to %d", c.Users, int64(1)<<40)
	case c.Days < 1 || c.Days > 10_000:
		return fault.New(fault.Invalid, "generate: %d days; use 1 to 10000", c.Days)
	case c.Start.Year() < 1800 || c.Start.Year() > 2200:
		return fault.New(fault.Invalid, "generate: the year %d; use 1800 to 2200", c.Start.Year())
	case !(c.Drift >= 0 && c.Drift <= 2):
		return fault.New(fault.Invalid, "generate: drift %v; use 0 to 2", c.Drift)
	case !(c.FraudRate >= 0.001 && c.FraudRate <= 0.5):
		return fault.New(fault.Invalid, "generate: fraud rate %v; use 0.001 to 0.5", c.FraudRate)
	}
	return nil
}

// Generator makes the batches of one table. It may be used from any number of
// goroutines.
type Generator struct {
	cfg        Config
	start      int64 // microseconds
	categories [tableSize]uint8
	countries  [tableSize]uint8
	dayparts   [25]float64 // share of a day's rows before each hour
	inflation  float64
	bias       float64 // log-odds that give the fraud rate

	ofRow, ofUser, ofTime rng.Mixer // the seed, by purpose
	usual                 []float64 // of the busiest users, by number
	home                  []uint8
}

// New checks the configuration and prepares to make its table.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, start: cfg.Start.UTC().Truncate(24 * time.Hour).UnixMicro()}
	g.ofRow, g.ofUser, g.ofTime = rng.NewMixer(cfg.Seed, ofRow), rng.NewMixer(cfg.Seed, ofUser), rng.NewMixer(cfg.Seed, ofTime)
	g.inflation = 1
	g.categories = lottery(len(categories), func(i int) float64 { return categories[i].share })
	g.countries = lottery(len(countries), func(i int) float64 { return countries[i].share })
	g.remember()
	sum := 0.0
	for h, w := range busyness {
		sum += w
		g.dayparts[h+1] = sum
	}
	for h := range g.dayparts {
		g.dayparts[h] /= sum
	}
	g.calibrate()
	g.inflation = 1 + cfg.Drift/2
	turned := min(cfg.Drift/2, 1)
	g.categories = lottery(len(categories), func(i int) float64 {
		return float64((1-turned)*categories[i].share) + float64(turned*categories[len(categories)-1-i].share)
	})
	return g, nil
}

// Schema returns the columns: who (user_id), when (ts, and its hour), how much
// (amount), of what kind (category), where (country), how much before
// (total_amount in transaction_count transactions) and, to be predicted,
// is_fraud, 0 or 1. Rows are in order of time.
func (g *Generator) Schema() data.Schema {
	return data.Schema{Fields: []data.Field{
		{Name: "transaction_id", Type: data.Int64},
		{Name: "user_id", Type: data.Int64},
		{Name: "ts", Type: data.Timestamp, UTC: true},
		{Name: "amount", Type: data.Float64, Nullable: true},
		{Name: "total_amount", Type: data.Float64},
		{Name: "transaction_count", Type: data.Int64},
		{Name: "hour", Type: data.Int64},
		{Name: "category", Type: data.String, Nullable: true},
		{Name: "country", Type: data.String},
		{Name: "is_fraud", Type: data.Int64},
	}}
}

// NumBatches returns how many batches there are; a table without rows has none.
func (g *Generator) NumBatches() int {
	per := int64(g.cfg.RowsPerGroup)
	return int((g.cfg.Rows + per - 1) / per)
}

// Batch makes batch i, which must be below NumBatches. The batches in order are
// the table; all but the last have RowsPerGroup rows.
func (g *Generator) Batch(i int) *data.Batch {
	if i < 0 || i >= g.NumBatches() {
		panic(fmt.Sprintf("generate: batch %d of %d", i, g.NumBatches()))
	}
	return g.batch(i, nil)
}

// batch makes batch i in the memory of another one, if that has as many rows.
func (g *Generator) batch(i int, old *data.Batch) *data.Batch {
	first := int64(i) * int64(g.cfg.RowsPerGroup)
	n := int(min(int64(g.cfg.RowsPerGroup), g.cfg.Rows-first))
	if old != nil && old.NumRows == n {
		for _, c := range old.Columns {
			clear(c.Valid)
			c.Dict = nil
		}
		g.fill(old.Columns, first)
		return old
	}
	b := &data.Batch{Schema: g.Schema(), NumRows: n}
	for _, f := range b.Schema.Fields {
		c := data.NewColumn(f.Type, n)
		if f.Nullable {
			c.Valid = data.NewBitmap(n)
		}
		b.Columns = append(b.Columns, c)
	}
	g.fill(b.Columns, first)
	return b
}

// fill makes the rows from first on.
func (g *Generator) fill(cs []*data.Column, first int64) {
	ids, users, ts, amounts, totals := cs[0].Int64s, cs[1].Int64s, cs[2].Int64s, cs[3], cs[4].Float64s
	counts, hours, kinds, places, frauds := cs[5].Int64s, cs[6].Int64s, cs[7], cs[8], cs[9].Int64s
	kind, place := coder{column: kinds}, coder{column: places}
	hour := 0
	for i := range ids {
		number := first + int64(i)
		r := g.row(number, g.time(number, &hour))
		ids[i], users[i], ts[i], hours[i] = number, r.user, r.ts, int64(r.hour)
		totals[i], counts[i] = r.total, r.count
		amounts.Float64s[i], kinds.Codes[i], frauds[i] = 0, 0, 0
		if !r.noAmount {
			amounts.Float64s[i] = r.amount
			amounts.Valid.Set(i)
		}
		if !r.noCategory {
			kind.set(i, r.category, categories[r.category].name)
			kinds.Valid.Set(i)
		}
		place.set(i, r.country, countries[r.country].name)
		if r.fraud {
			frauds[i] = 1
		}
	}
}

// coder gives a column's strings their codes in order of first appearance.
type coder struct {
	column *data.Column
	codes  [64]uint32 // by place in the list, plus 1
}

func (c *coder) set(row int, place uint8, name string) {
	code := &c.codes[place]
	if *code == 0 {
		c.column.Dict = append(c.column.Dict, name)
		*code = uint32(len(c.column.Dict))
	}
	c.column.Codes[row] = *code - 1
}
