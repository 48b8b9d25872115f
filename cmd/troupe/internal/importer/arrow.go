package importer

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/arrow"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// arrowPlan reads files of one schema, which they carry themselves.
type arrowPlan struct {
	columns []text.Format
	schema  data.Schema
	first   string
	heads   map[string]*source // by name
	memory  int64
	digits  []string // columns of unsigned numbers that go beyond int64 in one file, and are texts in all
}

func planArrow(ctx context.Context, c Config, sources []*source) (plan, []Column, error) {
	if len(c.Types) > 0 {
		return nil, nil, fault.New(fault.Invalid, "--type: Arrow carries its types; a features job can change them")
	}
	p := &arrowPlan{heads: map[string]*source{}, memory: c.Memory}
	for _, s := range sources {
		digits, err := p.beyond(ctx, s)
		if err != nil {
			return nil, nil, named(s, err)
		}
		p.digits = append(p.digits, digits...)
	}
	for _, s := range sources {
		p.heads[s.name] = s
		schema, err := p.schemaOf(s)
		if err != nil {
			return nil, nil, named(s, err)
		}
		if p.first == "" {
			p.schema, p.first = schema, s.name
		} else if err := p.same(schema); err != nil {
			return nil, nil, named(s, err)
		}
	}
	var columns []Column
	for _, f := range p.schema.Fields {
		format := text.Format{Field: f}
		p.columns = append(p.columns, format)
		columns = append(columns, Column{Name: f.Name, Type: format.String()})
	}
	return p, columns, nil
}

// beyond looks for unsigned numbers that int64 does not hold. Of standard input,
// which cannot be read twice, there are none.
func (p *arrowPlan) beyond(ctx context.Context, s *source) ([]string, error) {
	if s.stdin != nil {
		return nil, nil
	}
	r, err := s.open()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	defer s.close() //nolint:errcheck // it is only read
	return arrow.Beyond(ctx, r, p.bounds(s))
}

// schemaOf reads the beginning of a file. Of standard input the bytes are kept.
func (p *arrowPlan) schemaOf(s *source) (data.Schema, error) {
	if s.stdin != nil {
		if _, _, err := s.samples(headBytes, true); err != nil {
			return data.Schema{}, err
		}
	}
	r, err := s.open()
	if err != nil {
		return data.Schema{}, errors.Join(err, s.close())
	}
	defer s.close() //nolint:errcheck // it is only read
	if s.stdin != nil {
		r = &again{head: s.head, rest: s}
	}
	ar, err := arrow.NewReader(r, p.bounds(s))
	if err != nil {
		return data.Schema{}, err
	}
	defer ar.Close()
	return ar.Schema(), nil
}

// again reads the head of standard input without taking it, and more of it into
// the head when that is not enough.
type again struct {
	head []byte
	rest *source
}

func (a *again) Read(b []byte) (int, error) {
	if len(a.head) == 0 {
		n, err := a.rest.stdin.Read(b)
		a.rest.head = append(a.rest.head, b[:n]...)
		return n, err
	}
	n := copy(b, a.head)
	a.head = a.head[n:]
	return n, nil
}

// bounds holds the claims of a file against its size.
func (p *arrowPlan) bounds(s *source) arrow.ReaderConfig {
	cfg := arrow.DefaultReaderConfig()
	cfg.Digits = p.digits
	if p.memory > 0 {
		cfg.MaxMemory = min(cfg.MaxMemory, p.memory)
	}
	if info, err := os.Stat(s.name); err == nil && s.stdin == nil && info.Mode().IsRegular() {
		if _, packed := s.extension(); packed == "" {
			cfg.MaxBody = min(cfg.MaxBody, max(info.Size(), 1))
		}
	}
	return cfg
}

func (p *arrowPlan) same(own data.Schema) error {
	if len(own.Fields) != len(p.schema.Fields) {
		return fault.New(fault.Invalid, "there are %d columns, in %s there are %d: files that are imported together have the same schema", len(own.Fields), p.first, len(p.schema.Fields))
	}
	for i, f := range own.Fields {
		if g := p.schema.Fields[i]; f != g {
			return fault.New(fault.Invalid, "column %d is %q (%v), in %s it is %q (%v): files that are imported together have the same schema",
				i+1, f.Name, text.Format{Field: f}, p.first, g.Name, text.Format{Field: g})
		}
	}
	return nil
}

func (p *arrowPlan) formats() []text.Format { return p.columns }

func (p *arrowPlan) settings() string { return "" }

func (p *arrowPlan) open(r io.Reader, name string) (stream, error) {
	ar, err := arrow.NewReader(r, p.bounds(p.heads[name]))
	if err != nil {
		return nil, err
	}
	return &records{ar}, nil
}

// records is a stream of record batches.
type records struct{ r *arrow.Reader }

func (s *records) next() (func() (*data.Batch, []text.Reject, error), error) {
	rec, err := s.r.Next()
	if err != nil {
		s.r.Close()
		return nil, err
	}
	convert := func() (*data.Batch, []text.Reject, error) {
		b, err := rec.Batch()
		return b, nil, err
	}
	if !s.r.Full() {
		return convert, nil
	}
	b, _, err := convert() // at once, whoever is slow: batches under way fit in the memory for any number of threads
	return func() (*data.Batch, []text.Reject, error) { return b, nil, err }, nil
}
