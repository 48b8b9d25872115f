package run

import (
	"context"
	"io"
	"os"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Folder is an output folder that no job writes, such as that of an import: the
// same layout, made visible in the same way, by its manifest.
type Folder struct{ out output }

// NewFolder prepares a folder for the parts of one writer, whose name tells its
// staged files from those of others. A folder that holds anything but an output
// of Troupe is of kind Conflict.
func NewFolder(dir, writer string) (*Folder, error) {
	if dir == "" {
		return nil, fault.New(fault.Invalid, "output: name a folder")
	}
	f := &Folder{output{dir: dir, job: writer}}
	return f, f.out.prepare(context.Background())
}

// StagePart writes part number n, and returns what it is but for its rows.
func (f *Folder) StagePart(ctx context.Context, n int, write func(w io.Writer) error) (Part, error) {
	p, err := f.out.stage(ctx, n, write)
	return p.Part, err
}

// StageRejected writes the file of the lines that are no rows.
func (f *Folder) StageRejected(ctx context.Context, write func(w io.Writer) error) (Part, error) {
	p, err := f.out.stageFile(ctx, RejectedName, write)
	return p.Part, err
}

// Publish makes the staged parts of the manifest visible, the manifest last.
func (f *Folder) Publish(m *Manifest) error { return f.out.publish(context.Background(), m, nil) }

// Abandon removes what has been staged, and the folder if nothing else is in it.
func (f *Folder) Abandon() error {
	err := os.RemoveAll(f.out.staging())
	for _, dir := range []string{f.out.stagingRoot(), f.out.dir} {
		_ = os.Remove(dir) //nolint:errcheck // it stays when something is in it
	}
	return err
}
