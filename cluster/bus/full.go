package bus

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	// roomBytes is how much must be free before a server whose disk was full is
	// started again: less would be full again at once.
	roomBytes = 16 << 20
	// roomEvery is how often that is looked at.
	roomEvery = time.Second
)

// outOfSpace reports whether a server says that its disk is full.
func outOfSpace(text string) bool {
	for _, sign := range []string{"no space left on device", "disk quota exceeded", "resources, will be DISABLED"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// watch starts the server anew each time that its disk was full and has room
// again. After the first write that fails for want of room, NATS takes no other
// to the same stream, nor answers it, for as long as it runs.
func (s *Server) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.log.full:
		}
		s.cfg.Log.Error("the disk of the store is full, nothing can be written: free some", slog.String("path", s.cfg.Dir), slog.Int64("needed_bytes", roomBytes))
		s.tell(true)
		for full := true; full; {
			select {
			case <-ctx.Done():
				return
			case <-s.cfg.Clock.After(roomEvery):
			}
			if freeBytes(s.cfg.Dir) < roomBytes {
				continue
			}
			if err := s.again(ctx); err != nil {
				s.cfg.Log.Error("the store does not start again", slog.Any("err", err))
				continue
			}
			full = false
		}
		s.cfg.Log.Info("the disk of the store has room again")
		s.tell(false)
	}
}

func (s *Server) tell(full bool) {
	if s.cfg.Full != nil {
		s.cfg.Full(full)
	}
}

// again ends the server and starts it over the same folder and ports.
func (s *Server) again(ctx context.Context) error {
	old := s.current.Load()
	old.Shutdown()
	old.WaitForShutdown()
	select {
	case <-s.log.full: // it has said so again while it ended
	default:
	}
	n, err := s.run(ctx)
	if err != nil {
		return err
	}
	s.current.Store(n)
	return nil
}

// InProcessConn connects this process to the server that runs now.
func (s *Server) InProcessConn() (net.Conn, error) {
	c, err := s.current.Load().InProcessConn()
	if err != nil {
		return nil, fault.New(fault.Unavailable, "bus: the server in this process: %w", err)
	}
	return c, nil
}

// usedBytes returns what the files in a folder take.
func usedBytes(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be read counts nothing
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // as above
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
