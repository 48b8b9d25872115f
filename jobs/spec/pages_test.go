package spec

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

const pagesFolder = "../../docs/features"

// example is one of a page: features as a spec has them, and a table of what
// comes of some rows. Where the table has a column "learned", only the rows of
// yes are learned from.
type example struct {
	steps  string
	header []string
	rows   [][]string
}

const (
	exampleMark   = "<!-- example -->"
	learnedColumn = "learned"
)

// examplesOf returns the examples of a page: the mark, and after it a block of
// YAML and a table.
func examplesOf(t *testing.T, page string) []example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(pagesFolder, page))
	require.NoError(t, err)
	var all []example
	for _, part := range strings.Split(string(text), exampleMark)[1:] {
		steps, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(part), "```yaml\n"), "```\n")
		require.True(t, found, part)
		e := example{steps: steps}
		for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
			if !strings.HasPrefix(line, "|") {
				break
			}
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			e.rows = append(e.rows, cells)
		}
		require.Greater(t, len(e.rows), 2, part)
		e.header, e.rows = e.rows[0], e.rows[2:]
		all = append(all, e)
	}
	return all
}

// compile returns the features of an example, and the columns that they read.
func (e example) compile(t *testing.T) (*features.Pipeline, *data.Batch, []bool) {
	t.Helper()
	specs, err := Parse("page", []byte("kind: features\nname: page\ninput: in\noutput: out\nfeatures:\n"+e.steps))
	require.NoError(t, err)
	learned := make([]bool, len(e.rows))
	var schema data.Schema
	var columns []*data.Column
	cells := func(name string) []string {
		at := slices.Index(e.header, name)
		require.GreaterOrEqual(t, at, 0, "%s: no column %s", e.steps, name)
		var out []string
		for _, row := range e.rows {
			out = append(out, row[at])
		}
		return out
	}
	for i := range learned {
		learned[i] = true
		if slices.Contains(e.header, learnedColumn) {
			learned[i] = cells(learnedColumn)[i] == "yes"
		}
	}
	var steps []features.Step
	var made []string
	for _, s := range specs[0].Features.Steps {
		steps = append(steps, features.Step(s))
		for _, name := range s.Of {
			if slices.Contains(made, name) || schema.Index(name) >= 0 {
				continue
			}
			c := columnOf(t, cells(name))
			schema.Fields = append(schema.Fields, data.Field{Name: name, Type: c.Type, Nullable: true, UTC: c.Type == data.Timestamp})
			columns = append(columns, c)
		}
		made = append(made, s.Name)
	}
	p, err := features.Compile(features.Config{Steps: steps}, schema)
	require.NoError(t, err)
	return p, &data.Batch{Schema: schema, Columns: columns, NumRows: len(e.rows)}, learned
}

// columnOf makes a column of what a page shows: numbers, truths, dates, times or
// texts, whichever all of them can be.
func columnOf(t *testing.T, cells []string) *data.Column {
	t.Helper()
	all := func(can func(cell string) bool) bool {
		return !slices.ContainsFunc(cells, func(cell string) bool { return cell != "null" && !can(cell) })
	}
	number := func(cell string) bool { _, err := strconv.ParseFloat(cell, 64); return err == nil }
	instant := func(cell string) bool { _, err := data.ParseTimestamp(cell, true); return err == nil }
	typ := data.String
	switch {
	case all(number):
		typ = data.Float64
	case all(func(cell string) bool { return cell == "true" || cell == "false" }):
		typ = data.Bool
	case all(func(cell string) bool { return instant(cell) && len(cell) == len("2024-02-29") }):
		typ = data.Date
	case all(instant):
		typ = data.Timestamp
	}
	c := data.NewColumn(typ, len(cells))
	c.Valid = data.NewBitmap(len(cells))
	for i, cell := range cells {
		if cell == "null" {
			continue
		}
		c.Valid.Set(i)
		switch typ {
		case data.Float64:
			c.Float64s[i], _ = strconv.ParseFloat(cell, 64)
		case data.Bool:
			c.Bools[i] = cell == "true"
		case data.Timestamp, data.Date:
			at, err := data.ParseTimestamp(cell, true)
			require.NoError(t, err)
			if typ == data.Date {
				c.Int32s[i] = int32(at / 86_400_000_000)
			} else {
				c.Int64s[i] = at
			}
		default:
			c.Codes[i] = uint32(i)
		}
	}
	if typ == data.String {
		c.UseStrings(cells)
	}
	return c
}

// shown is a cell as pages have it.
func shown(c *data.Column, row int) string {
	switch {
	case !c.Valid.Get(row):
		return "null"
	case c.Type == data.String:
		return c.Dict[c.Codes[row]]
	case c.Type == data.Bool:
		return strconv.FormatBool(c.Bools[row])
	case c.Type == data.Int32:
		return strconv.Itoa(int(c.Int32s[row]))
	case c.Type == data.Int64:
		return strconv.FormatInt(c.Int64s[row], 10)
	}
	switch v := c.Float64s[row]; {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		return "NaN"
	default:
		return strconv.FormatFloat(math.Round(v*1e4)/1e4+0, 'g', -1, 64)
	}
}

// The tables of the pages are computed again, cell by cell.
func TestTheExamplesOfThePages(t *testing.T) {
	t.Parallel()
	for page, least := range map[string]int{"numbers.md": 10, "categories.md": 4, "times.md": 2} {
		examples := examplesOf(t, page)
		require.GreaterOrEqual(t, len(examples), least, page)
		for _, e := range examples {
			p, b, learned := e.compile(t)
			mask := data.NewBitmap(b.NumRows)
			for i, yes := range learned {
				if yes {
					mask.Set(i)
				}
			}
			for pass := range p.NumPasses() {
				s := p.NewState(pass)
				require.NoError(t, s.Observe(b, mask))
				var err error
				p, err = p.Fit(pass, s)
				require.NoError(t, err)
			}
			out, err := p.Apply(b)
			require.NoError(t, err)
			var want, got strings.Builder
			for _, name := range e.header {
				if out.Schema.Index(name) < 0 && b.Schema.Index(name) < 0 && name != learnedColumn {
					t.Errorf("%s: %s: there is no column %q; there are %v", page, e.steps, name, out.Schema.Names())
				}
			}
			for _, name := range out.Schema.Names() {
				assert.Contains(t, e.header, name, "%s: %s", page, e.steps)
			}
			for i, row := range e.rows {
				for k, name := range e.header {
					cell := row[k]
					fmt.Fprintf(&want, "| %s ", cell)
					if c := out.Column(name); c != nil {
						cell = shown(c, i)
					}
					fmt.Fprintf(&got, "| %s ", cell)
				}
				want.WriteString("|\n")
				got.WriteString("|\n")
			}
			assert.Equal(t, want.String(), got.String(), "%s: %s", page, e.steps)
		}
	}
}

// Every operation is in the index, which leads to a page that tells of it.
func TestEveryOperationHasAPage(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(filepath.Join(pagesFolder, "README.md"))
	require.NoError(t, err)
	pages := map[string]string{}
	for line := range strings.Lines(string(index)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		_, link, _ := strings.Cut(line, "](")
		link, _, _ = strings.Cut(link, ")")
		for i, word := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				assert.Empty(t, pages[word], "%s is listed twice", word)
				pages[word] = link
			}
		}
	}
	for _, op := range features.Operations() {
		page := pages[op]
		require.NotEmpty(t, page, "%s is not in the index", op)
		delete(pages, op)
		page, anchor, _ := strings.Cut(page, "#")
		text, err := os.ReadFile(filepath.Join(pagesFolder, page))
		require.NoError(t, err, op)
		require.True(t, strings.Contains(string(text), "`"+op+"`") || strings.Contains(string(text), "`op: "+op+"`"), "%s does not tell of %s", page, op)
		if anchor != "" {
			require.Contains(t, string(text), "\n## "+anchor+"\n", "%s has no part %s", page, anchor)
		}
	}
	require.Empty(t, pages, "in the index, but no operations")
}
