package ndjson

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
)

// ParserConfig says how chunks become batches.
type ParserConfig struct {
	Columns   []text.Format // called by their paths
	MaxRecord int           // a longer line is rejected
}

// Parser turns chunks into batches. It is not safe for concurrent use; several
// parsers of one configuration make the same batches.
type Parser struct {
	cfg      ParserConfig
	schema   data.Schema
	builders []*text.Builder
	root     *node
	walker   walker
	seen     []int // by column, the last row that had a value, counted from 1
	row      int
	misfit   *text.Reject // of the current line
}

// NewParser returns a parser.
func NewParser(cfg ParserConfig) *Parser {
	p := &Parser{cfg: cfg, schema: text.Schema(cfg.Columns), root: newNode("", ""), seen: make([]int, len(cfg.Columns))}
	none := text.NewNulls(nil)
	for i, f := range cfg.Columns {
		p.builders = append(p.builders, text.NewBuilder(f, none))
		n := p.root
		for _, name := range strings.Split(f.Name, ".") {
			if n.byName[name] == nil {
				n.add(name)
			}
			n = n.byName[name]
		}
		n.column = i
	}
	p.walker.unknown = p.unknown
	p.walker.visit = p.set
	return p
}

// unknown finds the node of a name that has a dot in itself. It is added once
// it is found, beside the nodes of its parts.
func (p *Parser) unknown(parent *node, name []byte) (*node, error) {
	path := string(name)
	if parent.path != "" {
		path = parent.path + "." + path
	}
	for i, f := range p.cfg.Columns {
		if f.Name == path || strings.HasPrefix(f.Name, path+".") {
			n := parent.add(string(name))
			if f.Name == path {
				n.column = i
			}
			return n, nil
		}
	}
	return nil, fmt.Errorf("the field %q is not in the sample: --type %s=TYPE makes it a column", path, path)
}

// Parse returns the rows of a chunk, and the lines that are none: those that are
// not one JSON object, with a field that is no column or occurs twice, with a
// value that is not of its column's type, or too long. Empty lines are passed
// over.
func (p *Parser) Parse(c *text.Chunk) (*data.Batch, []text.Reject) {
	for _, b := range p.builders {
		b.Begin(c.Records)
	}
	clear(p.seen)
	p.row = 0
	rejects := c.Rejects
	number := c.Line - 1
	for rest := c.Text; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		line := bytes.TrimSuffix(rest[:end], []byte{'\r'})
		rest = rest[end+1:]
		number++
		if len(line) == 0 || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if r := p.line(line); r != nil {
			r.Line = number
			rejects = append(rejects, *r)
		}
	}
	batch := &data.Batch{Schema: p.schema, NumRows: p.row}
	for _, b := range p.builders {
		batch.Columns = append(batch.Columns, b.End())
	}
	return batch, rejects
}

// line adds one row, or says why there is none.
func (p *Parser) line(line []byte) *text.Reject {
	p.misfit = nil
	var err error
	if len(line) >= p.cfg.MaxRecord {
		err = fmt.Errorf("the line is longer than %d bytes", p.cfg.MaxRecord)
	} else {
		err = p.walker.record(line, p.root)
	}
	if err == nil && p.misfit == nil {
		for i, b := range p.builders {
			if p.seen[i] != p.row+1 {
				b.Null()
			}
		}
		p.row++
		return nil
	}
	for i, b := range p.builders {
		b.Truncate(p.row)
		p.seen[i] = min(p.seen[i], p.row)
	}
	if err != nil { // a line that is no JSON has no values to speak of
		return &text.Reject{Reason: err.Error(), Raw: text.Raw(line)}
	}
	return p.misfit
}

// set adds a value to its column.
func (p *Parser) set(n *node, t token, value []byte) error {
	if n.column < 0 {
		if t == isNull {
			return nil // instead of an object
		}
		if p.misfit == nil {
			p.misfit = &text.Reject{Column: n.path, Expected: "object", Value: text.Value(value), Reason: fmt.Sprintf("field %q: expected an object", n.path), Raw: text.Raw(p.walker.buf)}
		}
		return nil
	}
	if p.seen[n.column] == p.row+1 {
		return fmt.Errorf("the field %q occurs twice", n.path)
	}
	p.seen[n.column] = p.row + 1
	b := p.builders[n.column]
	ok := true
	switch f := b.Format(); {
	case t == isNull:
		b.Null()
	case f.Type == data.String:
		ok = b.AppendString(value)
	case t == isArray, len(value) == 0, t == isNumber && f.Type == data.Timestamp && f.Unit == 0:
		ok = false
	default:
		ok = b.Append(value, t == isString)
	}
	if !ok && p.misfit == nil {
		r := text.Misfit(b.Format(), 0, value, p.walker.buf)
		p.misfit = &r
	}
	return nil
}
