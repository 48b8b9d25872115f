package importer

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/ndjson"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// ndjsonPlan reads files whose lines have fields of the same names.
type ndjsonPlan struct {
	cfg     Config
	columns []text.Format
	parsers sync.Pool
}

func planNDJSON(c Config, sources []*source) (plan, []Column, error) {
	sample := ndjson.NewSample()
	err := eachSample(sources, func(_ *source, head []byte, later [][]byte, counts bool) error {
		head, err := text.Head(head)
		if err != nil {
			return err
		}
		if !counts {
			return nil
		}
		good, err := observe(sample, head)
		if err != nil && good == 0 {
			hint := ""
			if line, _, _ := bytes.Cut(head, []byte("\n")); string(bytes.TrimSpace(line)) == "{" {
				hint = "; jq -c . writes each object as a line"
			}
			return fault.New(fault.Invalid, "no line is an object; the first one: %w%s", err, hint)
		}
		for _, b := range later {
			_, _ = observe(sample, b) // what is wrong with them is found when they are read
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	names, guesses := sample.Fields()
	for _, name := range sortedKeys(c.Types) { // --type adds fields that the sample has not
		if !slices.Contains(names, name) {
			names, guesses = append(names, name), append(guesses, &text.Guess{})
		}
	}
	if len(names) == 0 {
		return nil, nil, fault.New(fault.Invalid, "import: %s has no fields: expected lines such as {\"a\": 1}", sources[0].name)
	}
	formats, columns, err := decide(c, names, guesses)
	p := &ndjsonPlan{cfg: c, columns: formats}
	p.parsers.New = func() any {
		return ndjson.NewParser(ndjson.ParserConfig{Columns: p.columns, MaxRecord: c.MaxRecord})
	}
	return p, columns, err
}

// observe adds whole lines to the sample; it returns how many are objects, and
// what is wrong with the first that is none.
func observe(sample *ndjson.Sample, b []byte) (good int, first error) {
	end := bytes.LastIndexByte(b, '\n')
	n := 0
	for line := range bytes.Lines(b[:end+1]) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		n++
		switch err := sample.Observe(line); {
		case err == nil:
			good++
		case first == nil:
			first = fmt.Errorf("line %d: %w", n, err)
		}
	}
	return good, first
}

func (p *ndjsonPlan) formats() []text.Format { return p.columns }

func (p *ndjsonPlan) settings() string { return "" }

func (p *ndjsonPlan) open(r io.Reader, _ string) (stream, error) {
	return &chunks{text.NewSplitter(r, splitterConfig(p.cfg)), func(c *text.Chunk) (*data.Batch, []text.Reject) {
		parser := p.parsers.Get().(*ndjson.Parser)
		defer p.parsers.Put(parser)
		return parser.Parse(c)
	}}, nil
}
