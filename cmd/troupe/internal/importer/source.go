package importer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// source is one file, on a disk or in an object store, or standard input.
type source struct {
	name   string
	stdin  io.Reader                  // of standard input
	head   []byte                     // what has been taken from stdin already
	whole  bool                       // head is all of it
	object func() (files.File, error) // opens an object
	file   stored
	zstd   *zstd.Decoder
	hash   *xxh3.Hasher // of the bytes as they are stored
	empty  bool         // there is nothing in it
	digest string
}

// stored is an open file.
type stored interface {
	io.ReaderAt
	io.Closer
}

// find returns the files that paths and globs stand for, each once.
func find(ctx context.Context, c Config) ([]*source, error) {
	var out []*source
	for _, name := range c.Files {
		if name == "-" {
			out = append(out, &source{name: "standard input", stdin: c.Stdin})
			continue
		}
		if files.Remote(name) {
			objects, err := findObjects(ctx, c.Store, name)
			if err != nil {
				return nil, err
			}
			out = append(out, objects...)
			continue
		}
		matches := []string{name}
		if _, err := os.Lstat(name); err != nil && strings.ContainsAny(name, "*?[") {
			if matches, err = filepath.Glob(name); err != nil {
				return nil, fault.New(fault.Invalid, "import: %s: %w", name, err)
			}
			if len(matches) == 0 {
				return nil, fault.New(fault.NotFound, "import: %s: no file matches", name)
			}
			slices.Sort(matches)
		}
		for _, m := range matches {
			info, err := os.Stat(m)
			switch {
			case errors.Is(err, os.ErrNotExist):
				return nil, fault.New(fault.NotFound, "import: %s: there is no such file", m)
			case err != nil:
				return nil, fault.New(fault.Invalid, "import: %w", err)
			case info.IsDir():
				return nil, fault.New(fault.Invalid, "import: %s is a folder: name its files, such as %s", m, filepath.Join(m, "*.csv"))
			}
			out = append(out, &source{name: m})
		}
	}
	seen := map[string]bool{}
	for _, s := range out {
		if seen[s.name] {
			return nil, fault.New(fault.Invalid, "import: %s is named twice", s.name)
		}
		seen[s.name] = true
	}
	return out, nil
}

// findObjects returns the objects that a path or glob stands for. They are read
// until ctx ends.
func findObjects(ctx context.Context, store *files.Files, name string) ([]*source, error) {
	matches := []string{name}
	var err error
	if strings.ContainsAny(name, "*?[") {
		matches, err = run.List(ctx, store, name)
	} else if there, failed := store.Exists(ctx, name); failed != nil || !there {
		err = cmp.Or(failed, fault.New(fault.NotFound, "there is no such object: name objects, such as s3://BUCKET/PREFIX/*.csv"))
	}
	if err != nil {
		return nil, named(&source{name: name}, err)
	}
	var out []*source
	for _, m := range matches {
		out = append(out, &source{name: m, object: func() (files.File, error) { return store.Open(ctx, m, "") }})
	}
	return out, nil
}

func names(sources []*source) []string {
	var out []string
	for _, s := range sources {
		out = append(out, s.name)
	}
	return out
}

// extension returns what the name says of the format and of the compression.
func (s *source) extension() (ext, packed string) {
	name := strings.ToLower(s.name)
	ext = filepath.Ext(name)
	switch ext {
	case ".gz", ".gzip":
		packed = "gzip"
	case ".zst", ".zstd":
		packed = "zstd"
	default:
		return ext, ""
	}
	return filepath.Ext(strings.TrimSuffix(name, ext)), packed
}

// open returns the bytes of the file, unpacked.
func (s *source) open() (io.Reader, error) {
	s.hash = xxh3.New()
	if s.stdin != nil {
		head := io.MultiReader(bytes.NewReader(s.head), s.stdin)
		return io.TeeReader(head, s.hash), nil
	}
	if s.object != nil {
		o, err := s.object()
		if err != nil {
			return nil, err
		}
		s.file = o
		return s.unpack(io.TeeReader(bufio.NewReaderSize(io.NewSectionReader(o, 0, o.Size()), objectBytes), s.hash))
	}
	f, err := os.Open(s.name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	s.file = f
	return s.unpack(io.TeeReader(f, s.hash))
}

// objectBytes is how much of an object is asked for at a time.
const objectBytes = 4 << 20

// expect says that the open file will be read as a whole.
func (s *source) expect() {
	if p, ok := s.file.(files.Planner); ok {
		p.Plan([]s3.Range{{Start: 0, End: s.size()}})
	}
}

// size returns how long the open file is; -1 when that is not known, as of a pipe.
func (s *source) size() int64 {
	switch f := s.file.(type) {
	case files.File:
		return f.Size()
	case *os.File:
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}

// unpack undoes the compression.
func (s *source) unpack(r io.Reader) (io.Reader, error) {
	switch _, packed := s.extension(); packed {
	case "gzip":
		z, err := gzip.NewReader(r)
		if errors.Is(err, io.EOF) {
			return bytes.NewReader(nil), nil
		}
		if err != nil {
			return nil, fault.New(fault.Corrupt, "its name says that it is packed with gzip, its bytes do not begin so: %w: rename it, if it is not", err)
		}
		return corrupt{z}, nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(256<<20))
		s.zstd = z
		return corrupt{z}, err
	}
	return r, nil
}

// corrupt gives the errors of a decompressor their kind.
type corrupt struct{ r io.Reader }

func (c corrupt) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.New(fault.Corrupt, "the compressed bytes cannot be unpacked: %v", err)
	}
	return n, err
}

// finish is called at the end of the text: what was stored has been read.
func (s *source) finish(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	sum := s.hash.Sum128().Bytes()
	s.digest = hex.EncodeToString(sum[:])
	return nil
}

func (s *source) close() error {
	if s.zstd != nil {
		s.zstd.Close()
		s.zstd = nil
	}
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// digestOf names the bytes of all files, in order.
func digestOf(sources []*source) string {
	h := xxh3.New()
	for _, s := range sources {
		_, _ = h.WriteString(s.digest + "\n") // it never fails
	}
	sum := h.Sum128().Bytes()
	return "xxh3:" + hex.EncodeToString(sum[:])
}

// Sizes of what is looked at before anything is read.
const (
	wholeBytes = 8 << 20 // a file up to here is looked at as a whole
	headBytes  = 4 << 20
	laterBytes = 2 << 20 // in the middle and at the end
	manyBytes  = 256 << 10
)

// samples returns some of the file's text: its beginning, cut anywhere, and of a
// long file that is not packed pieces from the middle and the end, which begin
// with a line. most bounds the beginning; few leaves the others out.
func (s *source) samples(most int, few bool) (head []byte, later [][]byte, err error) {
	if s.stdin != nil {
		if s.head == nil {
			if s.head, err = io.ReadAll(io.LimitReader(s.stdin, headBytes)); err != nil {
				return nil, nil, fault.New(fault.Invalid, "import: %s: %w", s.name, err)
			}
			s.whole = len(s.head) < headBytes
		}
		return closed(s.head, s.whole), nil, nil
	}
	r, err := s.open()
	if err != nil {
		return nil, nil, named(s, errors.Join(err, s.close()))
	}
	defer s.close() //nolint:errcheck // it is only read
	if _, packed := s.extension(); !few && packed == "" {
		if n := s.size(); n >= 0 && n <= wholeBytes {
			most = wholeBytes
		}
	}
	head = make([]byte, most)
	n, err := io.ReadFull(r, head)
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !whole {
		return nil, nil, named(s, err)
	}
	if head = closed(head[:n], whole); whole || few {
		return head, nil, nil
	}
	later, err = s.later()
	return head, later, named(s, err)
}

// closed gives the last line of a whole text its end.
func closed(b []byte, whole bool) []byte {
	if whole && len(b) > 0 && b[len(b)-1] != '\n' {
		return append(b, '\n')
	}
	return b
}

// named puts the file's name before an error.
func named(s *source, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Of(err), "import: %s: %w", s.name, err)
}

// later returns pieces from the middle and the end of a file that is not packed.
func (s *source) later() (out [][]byte, err error) {
	size := s.size()
	if _, packed := s.extension(); packed != "" || size < 0 {
		return nil, nil
	}
	for _, at := range []int64{size/2 - laterBytes/2, size - laterBytes} {
		b := make([]byte, laterBytes)
		n, err := s.file.ReadAt(b, max(at, headBytes))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		b = closed(b[:n], errors.Is(err, io.EOF))
		out = append(out, b[bytes.IndexByte(b, '\n')+1:])
	}
	return out, nil
}
