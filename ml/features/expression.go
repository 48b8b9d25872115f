package features

import (
	"errors"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// expression is a column computed by a text.
type expression struct {
	out     data.Field
	program *expr.Program
}

func newExpression(b *builder) operation {
	o := expression{}
	var schema data.Schema
	for i, f := range b.in {
		f.Name = b.step.Of[i]
		schema.Fields = append(schema.Fields, f)
	}
	program, err := expr.Compile(b.text("expr", ""), schema)
	if err != nil {
		b.fault("%w", err)
		return o
	}
	o.program, o.out = program, program.Field()
	o.out.Name = b.step.Name
	return o
}

func (o expression) outputs() []data.Field { return []data.Field{o.out} }

func (o expression) apply(in []*data.Column, numRows int) []*data.Column {
	return []*data.Column{o.program.Eval(in, numRows)}
}

// exprOp is the operation whose columns come from a text instead of of.
const exprOp = "expr"

// readByText returns the columns that the text of a step reads, which become its
// of; those of any other step are given.
func readByText(s Step) ([]string, error) {
	if s.Op != exprOp {
		return s.Of, nil
	}
	text, ok := s.Params["expr"].(string)
	if !ok || text == "" {
		return nil, errors.New("expr: expected a text, such as \"amount / (count + 1)\"")
	}
	names, err := expr.Columns(text)
	if err != nil {
		return nil, err
	}
	if s.Of != nil && !slices.Equal(s.Of, names) {
		return nil, errors.New("of: leave it out: the columns are those that the text reads")
	}
	return names, nil
}

// ofFault is the fault that a step has with a column that it reads.
func (c *compiler) ofFault(s Step, name, message, hint string) {
	if s.Op == exprOp {
		text, _ := s.Params["expr"].(string)
		c.fault("%v: %w", s, expr.ColumnError(text, name, message, hint))
		return
	}
	if hint != "" {
		hint = "; " + hint
	}
	c.fault("%v: of: %s%s", s, message, hint)
}
