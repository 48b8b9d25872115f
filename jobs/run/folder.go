package run

import (
	"context"
	"io"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// Folder is an output folder that no job writes, such as that of an import: the
// same layout, made visible in the same way, by its manifest.
type Folder struct {
	out output

	mu     sync.Mutex
	staged []stagedPart
}

// NewFolder prepares a folder for the parts of one writer, whose name tells its
// staged files from those of others, and must not be another's. A folder that holds anything but an output
// of Troupe is of kind Conflict.
func NewFolder(ctx context.Context, fs *files.Files, dir, writer string) (*Folder, error) {
	if dir == "" {
		return nil, fault.New(fault.Invalid, "output: name a folder")
	}
	f := &Folder{out: output{dir: dir, job: writer, files: fs}}
	var err error
	f.out.replaces, err = f.out.prepare(ctx)
	return f, err
}

// StagePart writes part number n, and returns what it is but for its rows.
func (f *Folder) StagePart(ctx context.Context, n int, write func(w io.Writer) error) (Part, error) {
	return f.keep(f.out.stage(ctx, n, write))
}

// StageRejected writes the file of the lines that are no rows.
func (f *Folder) StageRejected(ctx context.Context, write func(w io.Writer) error) (Part, error) {
	return f.keep(f.out.stageFile(ctx, RejectedName, write))
}

func (f *Folder) keep(p stagedPart, err error) (Part, error) {
	if err == nil {
		f.mu.Lock()
		f.staged = append(f.staged, p)
		f.mu.Unlock()
	}
	return p.Part, err
}

// Publish makes the staged parts of the manifest visible, the manifest last.
func (f *Folder) Publish(ctx context.Context, m *Manifest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.publish(ctx, m, f.staged)
}

// Abandon removes what has been staged, and the folder if nothing else is in it.
func (f *Folder) Abandon(ctx context.Context) error {
	return f.out.unstage(ctx)
}
