package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

type logs struct {
	*folder
	mu    sync.Mutex
	files map[string]*logFile
}

func newLogs(f *folder) *logs { return &logs{folder: f, files: map[string]*logFile{}} }

// logFile is what is known of one log.
type logFile struct {
	name string

	mu     sync.Mutex
	known  bool    // the file has been read
	frames []frame // of the batches, in order
	count  uint64  // records
	end    int64   // of the last frame, in the file; 0 when there is no file
	broken error   // why the file may not be written any more
	grown  chan struct{}
}

// frame says where a batch begins: in the log and in the file.
type frame struct {
	first  uint64
	offset int64
}

func (s *logs) file(name string) *logFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.files[name]
	if l == nil {
		l = &logFile{name: name, grown: make(chan struct{})}
		s.files[name] = l
	}
	return l
}

func (s *logs) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	leave, err := s.enter(ctx, store.CheckRecords(name, records))
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	defer leave()
	l := s.file(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := s.scan(l); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	if l.broken != nil {
		return fault.New(fault.Unavailable, "log %s: an append has failed and could not be undone, open the store again: %w", name, l.broken)
	}
	if l.count != expected {
		return fmt.Errorf("log %s: %w: it holds %d records, expected %d", name, store.ErrConflict, l.count, expected)
	}
	if len(records) == 0 {
		return nil
	}
	if err := s.grow(l, records); err != nil {
		return fmt.Errorf("append to log %s: %w", name, err)
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

// grow writes a batch at the end of the file and syncs it.
func (s *logs) grow(l *logFile, records [][]byte) error {
	offset := l.end
	if l.end == 0 { // so that a log whose file exists has a record
		offset = int64(len(logLine))
		b := appendFrame([]byte(logLine), records)
		if err := s.replace(filepath.Join("logs", l.name), b); err != nil {
			l.known = false // the name may be there or not: look again
			return err
		}
		l.end = int64(len(b))
	} else {
		b := appendFrame(nil, records)
		if err := s.writeEnd(l, b); err != nil {
			return err
		}
		l.end += int64(len(b))
	}
	l.frames = append(l.frames, frame{l.count, offset})
	l.count += uint64(len(records))
	return nil
}

// writeEnd adds b to the file, or leaves the file as it was.
func (s *logs) writeEnd(l *logFile, b []byte) error {
	f, err := os.OpenFile(s.path("logs", l.name), os.O_WRONLY, 0)
	if err != nil {
		return classify(err)
	}
	err = s.write(f, b, l.end)
	if err == nil {
		err = s.sync(f)
	}
	if err != nil {
		undo := f.Truncate(l.end)
		if undo == nil {
			undo = s.sync(f)
		}
		l.broken = undo
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err, l.broken = cerr, cerr
	}
	return classify(err)
}

// scan reads the file once, and cuts off a torn frame at its end.
func (s *logs) scan(l *logFile) error {
	if l.known {
		return nil
	}
	path := s.path("logs", l.name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		l.known = true
		return nil
	}
	if err != nil {
		return classify(err)
	}
	if !strings.HasPrefix(string(b[:min(len(b), len(logLine))]), logLine) {
		return fault.New(fault.Corrupt, "log %s: %w: its file %s does not begin with %q", l.name, store.ErrCorrupt, path, logLine)
	}
	frames, count, end := scanFrames(b)
	if end < len(b) {
		if holdsFrame(b[end+1:]) {
			return fault.New(fault.Corrupt, "log %s: %w: its file %s is damaged at byte %d of %d", l.name, store.ErrCorrupt, path, end, len(b))
		}
		s.log.Warn("cut a torn batch off a log", "log", l.name, "kept_bytes", end, "cut_bytes", len(b)-end)
		if err := s.cut(path, int64(end)); err != nil {
			return err
		}
	}
	l.known, l.frames, l.count, l.end = true, frames, count, int64(end)
	return nil
}

// scanFrames returns the batches of a file, the number of their records and
// where the last whole one ends.
func scanFrames(b []byte) (frames []frame, count uint64, end int) {
	end = len(logLine)
	for {
		payload, records, size, ok := readFrame(b[end:])
		if ok {
			_, ok = splitPayload(nil, payload, records)
		}
		if !ok || records == 0 {
			return frames, count, end
		}
		frames = append(frames, frame{count, int64(end)})
		count += uint64(records)
		end += size
	}
}

func (s *logs) cut(path string, end int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return classify(err)
	}
	err = f.Truncate(end)
	if err == nil {
		err = s.sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return classify(err)
}

func (s *logs) Read(ctx context.Context, name string, from uint64) ([][]byte, error) {
	leave, err := s.enter(ctx, store.CheckName(name))
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer leave()
	records, _, err := s.read(name, from)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return records, nil
}

// read also returns the channel that is closed when there is more.
func (s *logs) read(name string, from uint64) (records [][]byte, grown <-chan struct{}, err error) {
	l := s.file(name)
	l.mu.Lock()
	err = s.scan(l)
	count, end, frames, grown := l.count, l.end, l.frames, l.grown
	l.mu.Unlock()
	if err != nil || from >= count {
		return nil, grown, err
	}
	at := sort.Search(len(frames), func(i int) bool { return frames[i].first > from }) - 1
	b := make([]byte, end-frames[at].offset)
	if err := s.readAt(name, b, frames[at].offset); err != nil {
		return nil, grown, err
	}
	for offset := frames[at].offset; len(b) > 0; {
		payload, n, size, ok := readFrame(b)
		if ok {
			records, ok = splitPayload(records, payload, n)
		}
		if !ok {
			return nil, grown, fault.New(fault.Corrupt, "log %s: %w: its file %s is damaged at byte %d", name, store.ErrCorrupt, s.path("logs", name), offset)
		}
		b = b[size:]
		offset += int64(size)
	}
	return records[from-frames[at].first:], grown, nil
}

func (s *logs) readAt(name string, b []byte, offset int64) error {
	f, err := os.Open(s.path("logs", name))
	if err != nil {
		return classify(err)
	}
	_, err = f.ReadAt(b, offset)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return classify(err)
}

func (s *logs) Watch(ctx context.Context, name string, from uint64, fn func(seq uint64, record []byte) error) error {
	for {
		leave, err := s.enter(ctx, store.CheckName(name))
		if err != nil {
			return fmt.Errorf("watch log: %w", err)
		}
		records, grown, err := s.read(name, from)
		leave()
		if err != nil {
			return fmt.Errorf("watch log: %w", err)
		}
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("watch log %s: %w", name, err)
			}
			if err := fn(from, r); err != nil {
				return err
			}
			from++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch log %s: %w", name, ctx.Err())
		case <-s.closed:
			return fmt.Errorf("watch log %s: %w", name, errClosed)
		case <-grown:
		}
	}
}

func (s *logs) List(ctx context.Context, prefix string) ([]string, error) {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	defer leave()
	entries, err := os.ReadDir(s.path("logs"))
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", classify(err))
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
