package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Fault is one thing that is wrong with a spec file.
type Fault struct {
	File    string `json:"file"`              // as given to Parse, or "--set PATH=VALUE" for an override
	Line    int    `json:"line"`              // from 1; 0 when the fault has no place
	Column  int    `json:"column"`            // from 1, in characters
	Path    string `json:"path,omitempty"`    // the field, such as model.hidden[1]; empty for the whole document
	Message string `json:"message"`           // what was found and what was expected
	Hint    string `json:"hint,omitempty"`    // what to do, such as: did you mean "hidden"?
	Context string `json:"context,omitempty"` // the spec of a file of several, such as: train "fraud"
}

// String writes the fault on one line: file:line:column: path: message; hint.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return b.String()
}

// Faults is everything that is wrong with a spec file, in the order of the
// file. As an error it is always wrapped with kind fault.Invalid; take it out
// of an error with errors.As.
type Faults []Fault

// Error writes one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// err returns the faults, sorted by place and each only once, as an error of
// kind Invalid; no faults are no error.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return fault.Wrap(fault.Invalid, slices.Compact(f))
}
