package expr

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/nearest"
)

// Program is an expression, compiled for columns of certain types. It is
// immutable and safe for concurrent use.
type Program struct {
	root    term
	tree    *Node
	columns []string
	slots   int
}

// Columns returns the columns that a text reads, each once, in order of first
// mention, without knowing any. The error, of kind Invalid, wraps a
// *data.SyntaxError: the text is no expression, calls a function that there is
// not or with another number of arguments, or reads no column.
func Columns(text string) (names []string, err error) {
	defer catch(text, &err)
	parse(text).walk(func(t *tree) {
		if t.shape == column && !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	})
	if len(names) == 0 {
		fail(0, "the expression reads no column", "a feature is made of columns of its row")
	}
	return names, nil
}

func (t *tree) walk(visit func(t *tree)) {
	visit(t)
	for _, of := range t.of {
		of.walk(visit)
	}
}

// ColumnError returns the error that says of a column of the text what message
// says, and points to where it is first read.
func ColumnError(text, name, message, hint string) (err error) {
	defer catch(text, &err)
	parse(text).walk(func(t *tree) {
		if t.shape == column && t.name == name {
			if text[t.at] == '"' {
				hint = strings.TrimPrefix(hint+fmt.Sprintf("; texts stand in single quotes: '%s'", name), "; ")
			}
			fail(t.at, message, hint)
		}
	})
	fail(0, message, hint)
	return nil
}

// Compile reads an expression over columns of a schema. Errors are those of
// Columns; further, columns that are not there, and values of types that an
// operation does not take.
func Compile(text string, schema data.Schema) (p *Program, err error) {
	defer catch(text, &err)
	t := parse(text)
	c := &checker{text: text, schema: schema, same: map[*tree]string{}, uses: map[string]int{}, shared: map[string]term{}, nodes: map[string]*Node{}}
	c.count(t, map[string]string{})
	root := c.check(t)
	if len(c.names) == 0 {
		fail(0, "the expression reads no column", "a feature is made of columns of its row")
	}
	if root.kind == nullKind {
		fail(root.at, "the expression is always null", "")
	}
	return &Program{root, c.nodes[c.same[t]], c.names, c.slots}, nil
}

// Columns returns the columns that the program reads, each once, in order of
// first mention.
func (p *Program) Columns() []string { return slices.Clone(p.columns) }

// Field returns the type of the result, without a name: bool, int64, float64,
// string, timestamp or date. It may always be null.
func (p *Program) Field() data.Field {
	return data.Field{Type: typeOf(p.root.kind), Nullable: true, UTC: p.root.utc}
}

// Eval computes the expression for every row. in are the program's columns, in
// the order of Columns, of numRows rows each and of the types that they were
// compiled for, save that numbers and truths may be of another number type:
// whole numbers are then what has no fraction, truths what is 0 or 1, and else
// null. in is not changed; the result may share memory with none of it.
func (p *Program) Eval(in []*data.Column, numRows int) *data.Column {
	f := &frame{in: in, total: numRows, state: make([]any, p.slots), pools: &pools{}}
	out := sink{column: data.NewColumn(p.Field().Type, numRows)}
	for f.from = 0; f.from < numRows; f.from += blockRows {
		f.n = min(blockRows, numRows-f.from)
		v := p.root.node.eval(f)
		out.put(f, v)
		f.release(v)
	}
	if p.root.kind == textKind {
		out.column.Dict = out.texts.dict
	}
	return out.column
}

// sink takes the blocks of the result.
type sink struct {
	column *data.Column
	texts  texts       // of a column of texts
	to     translation // from the dictionary of the blocks
}

func (s *sink) put(f *frame, v vec) {
	c, from, to := s.column, f.from, f.from+f.n
	if v.truths != nil {
		s.putTruths(f, v.truths)
		return
	}
	s.putValid(f, v.valid)
	switch c.Type {
	case data.Float64:
		copy(c.Float64s[from:to], v.floats)
		zeroNulls(c.Float64s[from:to], v.valid)
	case data.Date:
		for i, d := range v.ints {
			c.Int32s[from+i] = int32(d)
		}
		zeroNulls(c.Int32s[from:to], v.valid)
	case data.String:
		dst := c.Codes[from:to]
		for i, code := range v.codes {
			if v.valid.Get(i) {
				dst[i] = s.to.code(f, &s.texts, v.dict, code)
			}
		}
	default:
		copy(c.Int64s[from:to], v.ints)
		zeroNulls(c.Int64s[from:to], v.valid)
	}
}

func (s *sink) putTruths(f *frame, truths []uint8) {
	dst := s.column.Bools[f.from : f.from+f.n]
	known := uint8(yes | no)
	for i, t := range truths {
		dst[i] = t&yes != 0
		known &= t | t<<1 | t>>1
	}
	if known == yes|no {
		s.putValid(f, nil)
		return
	}
	valid := f.bits()
	clear(valid)
	for i, t := range truths {
		valid[i>>6] |= uint64((t|t>>1)&1) << (uint(i) & 63)
	}
	s.putValid(f, valid)
	f.valids.put(valid)
}

// putValid writes which rows of the block are there; the column has a bitmap
// from the first null on.
func (s *sink) putValid(f *frame, valid data.Bitmap) {
	whole := true
	for i := range valid {
		whole = whole && (valid[i]|^mask(f.n-i*64)) == ^uint64(0)
	}
	c := s.column
	if whole && c.Valid == nil {
		return
	}
	if c.Valid == nil {
		c.Valid = data.NewBitmap(f.total)
		for i := range f.from / 64 {
			c.Valid[i] = ^uint64(0)
		}
	}
	for i := range (f.n + 63) / 64 {
		word := ^uint64(0)
		if valid != nil {
			word = valid[i]
		}
		c.Valid[f.from/64+i] = word & mask(f.n-i*64)
	}
}

// mask has the first n bits set, at most all.
func mask(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<uint(n) - 1
}

// zeroNulls gives nulls the zero value, as columns have it.
func zeroNulls[T any](values []T, valid data.Bitmap) {
	var zero T
	for at, word := range valid {
		if word == ^uint64(0) {
			continue
		}
		for i := at * 64; i < min(at*64+64, len(values)); i++ {
			if word>>(uint(i)&63)&1 == 0 {
				values[i] = zero
			}
		}
	}
}

// didYouMean is the hint for a word that is not known.
func didYouMean(word string, known []string) string {
	switch best := nearest.Word(word, known); {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(known) > 0 && len(known) <= 40:
		return "known are " + strings.Join(known, ", ")
	}
	return ""
}

// clip shortens what messages quote.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
