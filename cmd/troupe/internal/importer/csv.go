package importer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/csv"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// csvPlan reads files of one dialect with the same columns.
type csvPlan struct {
	cfg     Config
	comma   byte
	columns []text.Format
	nulls   *text.Nulls
	parsers sync.Pool
}

func planCSV(c Config, sources []*source) (plan, []Column, error) {
	p := &csvPlan{cfg: c, nulls: text.NewNulls(c.Nulls)}
	if c.Delimiter != "" {
		p.comma = c.Delimiter[0]
	}
	var names []string
	var guesses []*text.Guess
	first := ""
	err := eachSample(sources, func(s *source, head []byte, later [][]byte, counts bool) error {
		if s.empty {
			return nil
		}
		head, err := text.Head(head)
		if err != nil {
			return err
		}
		if p.comma == 0 {
			p.comma = csv.Sniff(head)
		}
		own, err := p.header(head)
		if err != nil {
			return err
		}
		if names == nil {
			names, first = own, s.name
			for range names {
				guesses = append(guesses, &text.Guess{})
			}
		} else if err := sameHeader(first, names, s.name, own); err != nil {
			return err
		}
		if counts {
			p.observe(guesses, head, c.NoHeader)
			for _, b := range later {
				p.observe(guesses, b, true)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if names == nil {
		return nil, nil, fault.New(fault.Invalid, "import: %s is empty: expected a line with the names of the columns", sources[0].name)
	}
	if err := knownTypes(c, names); err != nil {
		return nil, nil, err
	}
	formats, columns, err := decide(c, names, guesses)
	p.columns = formats
	p.parsers.New = func() any {
		return csv.NewParser(csv.ParserConfig{Comma: p.comma, Columns: p.columns, Nulls: p.nulls, MaxRecord: c.MaxRecord})
	}
	return p, columns, err
}

// header returns the names of the columns of one file.
func (p *csvPlan) header(head []byte) ([]string, error) {
	if !p.cfg.NoHeader {
		return csv.Header(head, p.comma)
	}
	for record := range csv.Records(head, p.comma) {
		var names []string
		for i := range record {
			names = append(names, csv.ColumnName(i))
		}
		return names, nil
	}
	return nil, fault.New(fault.Invalid, "there is no line with an end within the first %d bytes", len(head))
}

// sameHeader holds the names of one file against those of the first.
func sameHeader(first string, names []string, file string, own []string) error {
	if slices.Equal(names, own) {
		return nil
	}
	for i := range min(len(names), len(own)) {
		if names[i] != own[i] {
			return fault.New(fault.Invalid, "column %d is %q, in %s it is %q: files that are imported together have the same header", i+1, own[i], first, names[i])
		}
	}
	return fault.New(fault.Invalid, "there are %d columns, in %s there are %d: files that are imported together have the same header", len(own), first, len(names))
}

// observe adds the values of a piece of a file to the guesses. Records of
// another width say nothing; a piece from the middle may begin within quotes.
func (p *csvPlan) observe(guesses []*text.Guess, b []byte, rows bool) {
	for record := range csv.Records(b, p.comma) {
		if !rows {
			rows = true
			continue
		}
		if len(record) != len(guesses) {
			continue
		}
		for i, f := range record {
			guesses[i].Observe(f.Text, f.Quoted, p.nulls)
		}
	}
}

func (p *csvPlan) formats() []text.Format { return p.columns }

func (p *csvPlan) settings() string { return fmt.Sprintf("%q %v", p.comma, p.cfg.NoHeader) }

func (p *csvPlan) open(r io.Reader, _ string) (stream, error) {
	sc := splitterConfig(p.cfg)
	sc.Comma, sc.SkipFirst = p.comma, !p.cfg.NoHeader
	return &chunks{text.NewSplitter(r, sc), func(c *text.Chunk) (*data.Batch, []text.Reject) {
		parser := p.parsers.Get().(*csv.Parser)
		defer p.parsers.Put(parser)
		return parser.Parse(c)
	}}, nil
}

var tabs = strings.NewReplacer(`\t`, "\t", "tab", "\t")

// Delimiter returns what somebody means by a delimiter: \t and tab are a tab.
func Delimiter(s string) string { return tabs.Replace(s) }
