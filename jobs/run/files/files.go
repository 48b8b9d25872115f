// Package files is where the files of a spec lie: on disks that this machine
// sees, or as objects in a store with the S3 API (s3://bucket/key).
//
// Errors name the path. They are of kind NotFound (and errors.Is
// fs.ErrNotExist), Invalid when access is refused, Conflict when a file is not
// the one that was meant, Exhausted when a disk is full, and else Unavailable.
package files

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store/s3"
)

// Files opens paths. nil knows the disks only.
type Files struct {
	client func() (*s3.Client, error)
}

// New returns Files that ask for a client when the first object is wanted. It
// may be asked again, and should then return the same.
func New(client func() (*s3.Client, error)) *Files { return &Files{client} }

// File is an open file. Any number of goroutines may read.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Version changes when the file does; it is empty where that is not known.
	Version() string
	// Stamp changes when the file does, as far as whoever keeps it can tell: it is a
	// disk's time of the last change too. It is empty where nobody knows.
	Stamp() string
}

// Planner is a File that is quicker when it knows what will be read.
type Planner interface {
	// Plan announces ranges, step by step, as of s3.Object.
	Plan(steps ...[]s3.Range)
}

// Remote reports whether a path is one of an object store.
func Remote(path string) bool { return s3.IsURL(path) }

// Join returns the path of a name in a folder.
func Join(folder, name string) string {
	if Remote(folder) {
		return strings.TrimRight(folder, "/") + "/" + name
	}
	return filepath.Join(folder, name)
}

// Object returns the store of an s3:// path and what the path names in it.
func (f *Files) Object(path string) (*s3.Client, s3.URL, error) {
	u, err := s3.Parse(path)
	if err != nil {
		return nil, u, err
	}
	if f == nil || f.client == nil {
		return nil, u, fault.New(fault.Invalid, "%s: no object store is set up here", path)
	}
	c, err := f.client()
	if err != nil {
		return nil, u, fmt.Errorf("%s: %w", path, err)
	}
	return c, u, nil
}

// Open opens a file of a version, or of any if that is empty. ctx ends all
// reading.
func (f *Files) Open(ctx context.Context, path, version string) (File, error) {
	if !Remote(path) {
		return openDisk(path)
	}
	c, u, err := f.Object(path)
	if err != nil {
		return nil, err
	}
	o, err := c.Open(ctx, u, version)
	if err != nil {
		return nil, err
	}
	return object{o}, nil
}

// object is a File of a store.
type object struct{ *s3.Object }

func (o object) Size() int64     { return o.Info().Bytes }
func (o object) Version() string { return o.Info().Version }
func (o object) Stamp() string   { return o.Version() }

// Read returns the bytes of a small file; one of more than limit is Invalid.
func (f *Files) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !Remote(path) {
		return readDisk(path, limit)
	}
	c, u, err := f.Object(path)
	if err != nil {
		return nil, err
	}
	b, _, err := c.Read(ctx, u, limit)
	return b, err
}

// Exists reports whether there is such a file or, on a disk, folder.
func (f *Files) Exists(ctx context.Context, path string) (bool, error) {
	if !Remote(path) {
		return existsOnDisk(path)
	}
	c, u, err := f.Object(path)
	if err != nil {
		return false, err
	}
	return c.Exists(ctx, u)
}

// Write makes a small file appear whole or not at all, with the folders that
// lead to it.
func (f *Files) Write(ctx context.Context, path string, b []byte) error {
	if !Remote(path) {
		return writeDisk(path, b)
	}
	c, u, err := f.Object(path)
	if err != nil {
		return err
	}
	_, err = c.Put(ctx, u, b, s3.Condition{})
	return err
}
