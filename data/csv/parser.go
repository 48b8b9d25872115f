package csv

import (
	"bytes"
	"fmt"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
)

// ParserConfig says how chunks become batches.
type ParserConfig struct {
	Comma     byte
	Columns   []text.Format
	Nulls     *text.Nulls
	MaxRecord int // a longer record is rejected
}

// Parser turns chunks into batches. It is not safe for concurrent use; several
// parsers of one configuration make the same batches.
type Parser struct {
	cfg      ParserConfig
	schema   data.Schema
	builders []*text.Builder
	wanted   patterns
	scratch  []byte
}

// NewParser returns a parser.
func NewParser(cfg ParserConfig) *Parser {
	p := &Parser{cfg: cfg, schema: text.Schema(cfg.Columns), wanted: newPatterns(cfg.Comma)}
	for _, f := range cfg.Columns {
		p.builders = append(p.builders, text.NewBuilder(f, cfg.Nulls))
	}
	return p
}

// Parse returns the rows of a chunk, and the records that are none: those with
// another number of fields than there are columns, with a value that is not of
// its column's type, with text behind a closing quote, or too long. Empty lines
// are passed over; in a table of one column they are nulls.
func (p *Parser) Parse(c *text.Chunk) (*data.Batch, []text.Reject) {
	for _, b := range p.builders {
		b.Begin(c.Records)
	}
	cur := cursor{buf: c.Text, comma: p.cfg.Comma, wanted: p.wanted, scratch: p.scratch}
	rejects := c.Rejects
	line, counted := c.Line, 0
	row := 0
	for cur.pos < len(cur.buf) {
		start := cur.pos
		if len(p.builders) > 1 && (cur.buf[start] == '\n' || cur.buf[start] == '\r' && cur.buf[start+1] == '\n') {
			cur.pos += 1 + btoi(cur.buf[start] == '\r')
			continue
		}
		f := p.record(&cur)
		if f.fields == len(p.builders) && f.bad < 0 && cur.pos-start <= p.cfg.MaxRecord {
			row++
			continue
		}
		for _, b := range p.builders {
			b.Truncate(row)
		}
		line += int64(bytes.Count(cur.buf[counted:start], []byte{'\n'}))
		counted = start
		record := bytes.TrimSuffix(bytes.TrimSuffix(cur.buf[start:cur.pos], []byte{'\n'}), []byte{'\r'})
		rejects = append(rejects, p.reject(f, line, record))
	}
	p.scratch = cur.scratch
	batch := &data.Batch{Schema: p.schema, NumRows: row}
	for _, b := range p.builders {
		batch.Columns = append(batch.Columns, b.End())
	}
	return batch, rejects
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// found is what came of a record.
type found struct {
	fields int
	bad    int // the first field that is not of its type, -1: none
	stray  bool
	value  []byte // of the bad field
}

// record reads one record and adds its values.
func (p *Parser) record(c *cursor) found {
	f := found{bad: -1}
	for {
		field, more := c.field()
		if f.bad < 0 && f.fields < len(p.builders) {
			if field.Stray || !p.builders[f.fields].Append(field.Text, field.Quoted) {
				f.bad, f.stray, f.value = f.fields, field.Stray, bytes.Clone(field.Text[:min(len(field.Text), 200)])
			}
		}
		f.fields++
		if !more {
			return f
		}
	}
}

func (p *Parser) reject(f found, line int64, record []byte) text.Reject {
	r := text.Reject{Line: line, Raw: text.Raw(record)}
	switch {
	case len(record) >= p.cfg.MaxRecord:
		r.Reason = fmt.Sprintf("the record is longer than %d bytes", p.cfg.MaxRecord)
	case f.fields != len(p.builders):
		r.Reason = fmt.Sprintf("%d fields, expected %d", f.fields, len(p.builders))
	case f.stray:
		r.Column = p.cfg.Columns[f.bad].Name
		r.Reason = fmt.Sprintf("column %q: there is text behind the closing quote", r.Column)
	default:
		return text.Misfit(p.cfg.Columns[f.bad], line, f.value, record)
	}
	return r
}
