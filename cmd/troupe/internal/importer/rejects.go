package importer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/jobs/run"
)

// rejectLine is one line of the file of rejected lines.
type rejectLine struct {
	File     string `json:"file"`
	Line     int64  `json:"line"`
	Reason   string `json:"reason"`
	Column   string `json:"column,omitempty"`
	Expected string `json:"expected,omitempty"`
	Value    string `json:"value,omitempty"`
	Raw      string `json:"raw"`
}

// rejectFile is the file of rejected lines, which is there from the first one on.
type rejectFile struct {
	ctx       context.Context //nolint:containedctx // of the one import that the file belongs to
	folder    *run.Folder
	first     text.Reject
	firstFile string

	pipe *io.PipeWriter
	buf  *bufio.Writer
	json *json.Encoder
	rows int64
	done chan struct{}
	part run.Part
	err  error
}

func (f *rejectFile) write(file string, rejects []text.Reject) error {
	if f.pipe == nil {
		f.first, f.firstFile = rejects[0], file
		r, w := io.Pipe()
		f.pipe, f.buf, f.done = w, bufio.NewWriterSize(w, 1<<16), make(chan struct{})
		f.json = json.NewEncoder(f.buf)
		f.json.SetEscapeHTML(false)
		go func() {
			defer close(f.done)
			f.part, f.err = f.folder.StageRejected(f.ctx, func(to io.Writer) error {
				_, err := io.Copy(to, r)
				return err
			})
			_ = r.CloseWithError(f.err) //nolint:errcheck // it never fails
		}()
	}
	for _, r := range rejects {
		f.rows++
		line := rejectLine{File: file, Line: r.Line, Reason: r.Reason, Column: r.Column, Expected: r.Expected, Value: r.Value, Raw: r.Raw}
		if err := f.json.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// close ends the file and returns what it is, nil when no line was rejected.
func (f *rejectFile) close(failed error) (*run.Part, error) {
	if f.pipe == nil {
		return nil, nil
	}
	err := f.buf.Flush()
	_ = f.pipe.CloseWithError(failed) //nolint:errcheck // it never fails
	<-f.done
	if failed != nil {
		return nil, nil
	}
	f.part.RowsIn, f.part.RowsRejected = f.rows, f.rows
	return &f.part, errors.Join(err, f.err)
}
