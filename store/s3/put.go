package s3

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Condition says what must be so for a write to take place.
type Condition struct {
	// Absent wants that there is no such object.
	Absent bool
	// Version wants that the object is of this version, if it is not empty.
	Version string
}

func (w Condition) options() minio.PutObjectOptions {
	var o minio.PutObjectOptions
	o.DisableContentSha256 = true // where it is given, it is signed
	if w.Absent {
		o.SetMatchETagExcept("*")
	}
	if w.Version != "" {
		o.SetMatchETag(w.Version)
	}
	return o
}

// Put writes a small object, whole or not at all. When the condition does not
// hold it is of kind Conflict, and nothing has changed; but an object that
// already has these bytes is as good as written, since an earlier attempt whose
// answer was lost may have done it.
func (c *Client) Put(ctx context.Context, u URL, b []byte, when Condition) (Info, error) {
	info := Info{URL: u, Bytes: int64(len(b))}
	err := c.try(ctx, "write", u, int64(len(b)), func(ctx context.Context, attempt int) error {
		up, err := c.core.PutObject(ctx, u.Bucket, u.Key, bytes.NewReader(b), int64(len(b)), "", sha256Hex(b), when.options())
		if err != nil && attempt > 1 && fault.Of(c.judge(err)) == fault.Conflict {
			if have, now, rerr := c.Read(ctx, u, int64(len(b))); rerr == nil && bytes.Equal(have, b) {
				info.Version = now.Version
				return nil
			}
		}
		info.Version = up.ETag
		return err
	})
	return info, err
}

// Copy makes to an object with the bytes of from, which must be of the version
// that it was learnt with. The bytes do not leave the store.
func (c *Client) Copy(ctx context.Context, from Info, to URL) (Info, error) {
	info := Info{URL: to, Bytes: from.Bytes}
	err := c.try(ctx, "copy "+from.URL.String()+" to", to, from.Bytes, func(ctx context.Context, _ int) error {
		o, err := c.core.CopyObject(ctx, from.URL.Bucket, from.URL.Key, to.Bucket, to.Key,
			map[string]string{"x-amz-copy-source-if-match": `"` + from.Version + `"`}, minio.CopySrcOptions{Bucket: from.URL.Bucket, Object: from.URL.Key}, minio.PutObjectOptions{})
		info.Version = trimETag(o.ETag)
		return err
	})
	return info, err
}

// Delete removes objects; those that are not there are no error.
func (c *Client) Delete(ctx context.Context, us ...URL) error {
	for _, u := range us {
		err := c.try(ctx, "delete", u, 0, func(ctx context.Context, _ int) error {
			return c.core.RemoveObject(ctx, u.Bucket, u.Key, minio.RemoveObjectOptions{})
		})
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
	}
	return nil
}

func trimETag(text string) string {
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		return text[1 : n-1]
	}
	return text
}

// Upload writes an object of any size. Nothing is visible before Commit; Abort,
// which may follow Commit, removes what is left of an upload that was not
// committed. It is for one goroutine.
type Upload struct {
	c      *Client
	ctx    context.Context // of all requests, because Write takes none
	cancel context.CancelCauseFunc
	url    URL
	buf    []byte
	n      int64
	id     string      // of a multipart upload, once it is one
	room   chan []byte // buffers to write to
	sent   sync.WaitGroup
	ended  bool

	mu    sync.Mutex
	parts []minio.CompletePart
	err   error
}

// Create begins an upload.
func (c *Client) Create(ctx context.Context, u URL) *Upload {
	up := &Upload{c: c, url: u, room: make(chan []byte, uploadBuffers)}
	up.ctx, up.cancel = context.WithCancelCause(ctx)
	for range uploadBuffers {
		up.room <- nil
	}
	return up
}

// uploadBuffers is one to fill and one on its way.
const uploadBuffers = 2

// maxParts is how many parts an upload may have.
const maxParts = 10000

// Write keeps bytes until there are enough for a part, which it sends while the
// caller goes on. An error is of this or an earlier part.
func (u *Upload) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if u.buf == nil {
			b := <-u.room
			if b == nil {
				b = make([]byte, 0, u.c.cfg.SegmentBytes)
			}
			u.buf = b[:0]
		}
		if len(u.buf) == cap(u.buf) {
			if err := u.send(); err != nil {
				return n, err
			}
			continue
		}
		k := min(cap(u.buf)-len(u.buf), len(p)-n)
		u.buf = append(u.buf, p[n:n+k]...)
		n += k
	}
	u.n += int64(n)
	return n, u.failed()
}

func (u *Upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// send hands the buffer over to a goroutine that uploads it.
func (u *Upload) send() error {
	if err := u.failed(); err != nil {
		return err
	}
	if u.id == "" {
		err := u.c.try(u.ctx, "write", u.url, 0, func(ctx context.Context, _ int) (err error) {
			u.id, err = u.c.core.NewMultipartUpload(ctx, u.url.Bucket, u.url.Key, minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			return u.fail(err)
		}
	}
	if len(u.parts) == maxParts {
		return u.fail(fault.New(fault.Invalid, "write %s: more than %d parts of %d bytes: write smaller files", u.url, maxParts, u.c.cfg.SegmentBytes))
	}
	b := u.buf
	u.buf = nil
	at := len(u.parts)
	u.mu.Lock()
	u.parts = append(u.parts, minio.CompletePart{PartNumber: at + 1})
	u.mu.Unlock()
	u.sent.Go(func() {
		part, err := u.part(at+1, b)
		if err != nil {
			_ = u.fail(err) // the next call says so
		}
		u.mu.Lock()
		u.parts[at].ETag = part
		u.mu.Unlock()
		u.room <- b
	})
	return nil
}

func (u *Upload) fail(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
	return u.err
}

func (u *Upload) part(number int, b []byte) (etag string, err error) {
	hash := sha256Hex(b)
	err = u.c.try(u.ctx, "write", u.url, int64(len(b)), func(ctx context.Context, _ int) error {
		if err := u.failed(); err != nil {
			return err // of another part, or given up: the object will not come to be
		}
		p, err := u.c.core.PutObjectPart(ctx, u.url.Bucket, u.url.Key, u.id, number, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{Sha256Hex: hash})
		etag = p.ETag
		return err
	})
	return etag, err
}

// Commit sends what is left and makes the object visible, whole.
func (u *Upload) Commit() (Info, error) {
	if u.ended {
		return Info{}, fault.New(fault.Internal, "write %s: the upload has ended", u.url)
	}
	if u.id == "" {
		info, err := u.c.Put(u.ctx, u.url, u.buf, Condition{})
		u.ended = err == nil
		return info, err
	}
	if len(u.buf) > 0 {
		if err := u.send(); err != nil {
			return Info{}, err
		}
	}
	u.sent.Wait()
	if err := u.failed(); err != nil {
		return Info{}, err
	}
	info := Info{URL: u.url, Bytes: u.n}
	err := u.c.try(u.ctx, "write", u.url, 0, func(ctx context.Context, attempt int) error {
		done, err := u.c.core.CompleteMultipartUpload(ctx, u.url.Bucket, u.url.Key, u.id, u.parts, minio.PutObjectOptions{})
		info.Version = trimETag(done.ETag)
		var r minio.ErrorResponse
		if attempt > 1 && errors.As(err, &r) && r.StatusCode == http.StatusNotFound { // done, and the answer was lost?
			have, serr := u.c.core.StatObject(ctx, u.url.Bucket, u.url.Key, minio.StatObjectOptions{})
			if serr == nil && have.Size == u.n {
				info.Version = have.ETag
				return nil
			}
		}
		return err
	})
	u.ended = err == nil
	return info, err
}

// Abort waits for what is on its way and removes the parts of an upload that was
// not committed. The object, if there was one before, stays. A part on its way is
// not cut off, unless ctx or the upload's own context ends: a server may still
// keep a part that was cut, after the upload has been removed.
func (u *Upload) Abort(ctx context.Context) error {
	_ = u.fail(errAborted) // nothing further is sent
	stop := context.AfterFunc(ctx, func() { u.cancel(errAborted) })
	u.sent.Wait()
	stop()
	u.cancel(errAborted)
	if u.ended || u.id == "" {
		return nil
	}
	u.ended = true
	// A part that was cut off may arrive after the upload has been aborted, and
	// keep it alive: so look, and do it again.
	err := u.c.try(ctx, "abort the upload of", u.url, 0, func(ctx context.Context, _ int) error {
		if err := u.c.core.AbortMultipartUpload(ctx, u.url.Bucket, u.url.Key, u.id); err != nil {
			return err
		}
		if _, err := u.c.core.ListObjectParts(ctx, u.url.Bucket, u.url.Key, u.id, 0, 1); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "the upload is still there")
	})
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	return err
}

var errAborted = fault.New(fault.Canceled, "the upload has been given up")
