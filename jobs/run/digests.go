package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/jobs/run/files"
)

// digestPrefix begins the names under which the store remembers the digests of
// objects; the rest names an object's version, the value is its digest.
const digestPrefix = "digest."

// digest returns the digest of all bytes of a file. That of an object whose URL,
// version and size have been seen before is known; a file on a disk has no
// version, and is read.
func (d *Dataset) digest(ctx context.Context, f files.File, path string) (string, error) {
	if d.known == nil || f.Version() == "" {
		return digestOfInput(f)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", path, f.Version(), f.Size()))
	name := digestPrefix + hex.EncodeToString(sum[:16])
	if b, _, err := d.known.Get(ctx, name); err == nil {
		return string(b), nil
	}
	digest, err := digestOfInput(f)
	if err == nil {
		_, _ = d.known.Set(ctx, name, []byte(digest), 0) //nolint:errcheck // unless it is known, it is computed again
	}
	return digest, err
}

// digestOfInput reads all bytes of a file.
func digestOfInput(f files.File) (string, error) {
	announceAll(f)
	h := xxh3.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	sum := h.Sum128().Bytes()
	return "xxh3:" + hex.EncodeToString(sum[:]), nil
}
