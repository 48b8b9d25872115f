package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// The formats.
const (
	formatCSV    = "csv"
	formatNDJSON = "ndjson"
	formatArrow  = "arrow"
)

var extensions = map[string]string{
	".csv": formatCSV, ".tsv": formatCSV, ".txt": formatCSV, ".psv": formatCSV,
	".ndjson": formatNDJSON, ".jsonl": formatNDJSON, ".json": formatNDJSON,
	".arrow": formatArrow, ".arrows": formatArrow, ".ipc": formatArrow, ".feather": formatArrow,
}

// formatOf returns the one format of all files.
func formatOf(c Config, sources []*source) (string, error) {
	if c.Format != "" {
		if c.Format != formatCSV && c.Format != formatNDJSON && c.Format != formatArrow {
			return "", fault.New(fault.Invalid, "--format %s: expected csv, ndjson or arrow", c.Format)
		}
		return c.Format, nil
	}
	format, of := "", ""
	for _, s := range sources {
		ext, _ := s.extension()
		f, ok := extensions[ext]
		switch {
		case s.stdin != nil:
			return "", fault.New(fault.Invalid, "import: say what standard input is: --format csv, ndjson or arrow")
		case ext == ".parquet":
			return "", fault.New(fault.Invalid, "import: %s is Parquet already, which every job reads as it is", s.name)
		case !ok:
			return "", fault.New(fault.Invalid, "import: %s: the name does not say the format: --format csv, ndjson or arrow", s.name)
		case format != "" && f != format:
			return "", fault.New(fault.Invalid, "import: %s is %s and %s is %s: import them apart", of, format, s.name, f)
		}
		format, of = f, s.name
	}
	return format, nil
}

// planOf looks at the files and says how they are read.
func planOf(ctx context.Context, c Config, format string, sources []*source) (plan, []Column, error) {
	switch format {
	case formatCSV:
		return planCSV(c, sources)
	case formatNDJSON:
		return planNDJSON(c, sources)
	default:
		return planArrow(ctx, c, sources)
	}
}

// eachSample calls visit with samples of the files: of a single one from its
// beginning, middle and end, of many from the beginning of all, of which those
// between the first fifteen and the last are only looked at for their header.
func eachSample(sources []*source, visit func(s *source, head []byte, later [][]byte, counts bool) error) error {
	for i, s := range sources {
		most, few := headBytes, len(sources) > 4
		if few {
			most = manyBytes
		}
		head, later, err := s.samples(most, few)
		if err != nil {
			return err
		}
		s.empty = len(head) == 0
		if err := visit(s, head, later, i < 15 || i == len(sources)-1); err != nil {
			return named(s, err)
		}
	}
	return nil
}

// decide gives each column its type: the one asked for, or what the sample says.
func decide(c Config, names []string, guesses []*text.Guess) ([]text.Format, []Column, error) {
	var formats []text.Format
	var columns []Column
	for i, name := range names {
		f, note := guesses[i].Format(name)
		if typ, ok := c.Types[name]; ok {
			given, err := text.ParseFormat(name, typ)
			if err != nil {
				return nil, nil, fault.New(fault.Invalid, "--type %s=%s: %w", name, typ, err)
			}
			if typ == data.Timestamp.String() && f.Type == data.Timestamp {
				given.UTC = f.UTC // the sample says whether times have zones
			}
			f, note = given, "as told"
		}
		formats = append(formats, f)
		columns = append(columns, Column{Name: name, Type: f.String(), Note: note})
	}
	return formats, columns, nil
}

// knownTypes refuses a --type of a column that is not there.
func knownTypes(c Config, names []string) error {
	for _, name := range sortedKeys(c.Types) {
		if !slices.Contains(names, name) {
			return fault.New(fault.Invalid, "--type %s=%s: there is no column %q; there are %s", name, c.Types[name], name, listed(names))
		}
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// listed names at most twenty things.
func listed(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// chunks is a stream of chunks of text.
type chunks struct {
	splitter *text.Splitter
	parse    func(c *text.Chunk) (*data.Batch, []text.Reject)
}

func (s *chunks) next() (func() (*data.Batch, []text.Reject, error), error) {
	c, err := s.splitter.Next()
	if err != nil {
		return nil, err
	}
	return func() (*data.Batch, []text.Reject, error) {
		b, rejects := s.parse(c)
		s.splitter.Reuse(c)
		return b, rejects, nil
	}, nil
}

// splitterConfig is what both kinds of text share.
func splitterConfig(c Config) text.SplitterConfig {
	s := text.DefaultSplitterConfig()
	s.Records, s.MaxRecord = c.RowsPerGroup, c.MaxRecord
	return s
}
