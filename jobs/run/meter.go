package run

import (
	"hash"
	"io"
	"os"

	"github.com/troupe-ml/troupe/jobs/run/files"
)

// beginBytes is how much of a file is sent to the disk at a time.
const beginBytes = 1 << 20

// meter counts and hashes what passes through it.
type meter struct {
	w    io.Writer
	hash hash.Hash // nil: none
	n    int64
	// The file that will be synced, if it is one, and how much of it is on its way to
	// the disk: what is waited for at the end is then little.
	file  *os.File
	begun int64
}

// begin sends what comes before a place to the disk.
func (m *meter) begin(to int64) {
	if m.file != nil && to > m.begun {
		files.Begin(m.file, m.begun, to-m.begun)
		m.begun = to
	}
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	if m.hash != nil {
		m.hash.Write(b[:n])
	}
	m.n += int64(n)
	if m.n-m.begun >= beginBytes {
		m.begin(m.n / beginBytes * beginBytes) // a page that is on its way may have to be waited for
	}
	return n, err
}
