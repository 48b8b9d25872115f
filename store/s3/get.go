package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Info is what a store knows of an object. Version changes with its bytes.
type Info struct {
	URL     URL
	Bytes   int64
	Version string    // the ETag, without quotes
	Changed time.Time // when it was last written, by the store's clock; Stat alone says so
}

// Stat looks at an object.
func (c *Client) Stat(ctx context.Context, u URL) (Info, error) {
	info := Info{URL: u}
	err := c.try(ctx, "look at", u, 0, func(ctx context.Context, _ int) error {
		o, err := c.core.StatObject(ctx, u.Bucket, u.Key, minio.StatObjectOptions{})
		info.Bytes, info.Version, info.Changed = o.Size, o.ETag, o.LastModified
		return err
	})
	return info, err
}

// Read returns the bytes of a small object, Invalid if it has more than limit.
func (c *Client) Read(ctx context.Context, u URL, limit int64) ([]byte, Info, error) {
	info := Info{URL: u}
	var b []byte
	err := c.try(ctx, "read", u, limit, func(ctx context.Context, _ int) error {
		body, o, _, err := c.core.GetObject(ctx, u.Bucket, u.Key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // it was only read
		if o.Size > limit {
			return fault.New(fault.Invalid, "it has %d bytes, at most %d are expected here", o.Size, limit)
		}
		info.Bytes, info.Version = o.Size, o.ETag
		b = make([]byte, o.Size)
		_, err = io.ReadFull(body, b)
		return err
	})
	if err != nil {
		return nil, info, err
	}
	return b, info, nil
}

// fetch fills b from offset at of an object of one version. What has arrived
// before a connection breaks is not asked for again.
func (c *Client) fetch(ctx context.Context, u URL, version string, b []byte, at int64) error {
	have := 0
	return c.try(ctx, "read", u, int64(len(b)), func(ctx context.Context, _ int) error {
		var o minio.GetObjectOptions
		if err := errors.Join(o.SetRange(at+int64(have), at+int64(len(b))-1), o.SetMatchETag(version)); err != nil {
			return fault.Wrap(fault.Internal, err)
		}
		body, info, header, err := c.core.GetObject(ctx, u.Bucket, u.Key, o)
		if err != nil {
			return changed(err)
		}
		defer body.Close() //nolint:errcheck // it was only read
		if info.ETag != version {
			return errChanged
		}
		if start, _, ok := contentRange(header); !ok || start != at+int64(have) {
			return fault.New(fault.Invalid, "the store does not serve ranges: it answered %q", header.Get("Content-Range"))
		}
		n, err := io.ReadFull(body, b[have:])
		have += n
		return err
	})
}

var errChanged = fault.New(fault.Conflict, "the object has changed since it was first read: it must not while a job reads it")

// changed says what a failed precondition of a read means.
func changed(err error) error {
	var r minio.ErrorResponse
	if errors.As(err, &r) && (r.StatusCode == http.StatusPreconditionFailed || r.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
		return errChanged
	}
	return err
}

// tail reads an object's last bytes and learns its size and version, all in one
// request. A version that is not empty must be the object's.
func (c *Client) tail(ctx context.Context, u URL, version string, most int64) ([]byte, Info, error) {
	info := Info{URL: u}
	var b []byte
	err := c.try(ctx, "read", u, most, func(ctx context.Context, _ int) error {
		var o minio.GetObjectOptions
		err := o.SetRange(0, -most)
		if version != "" {
			err = errors.Join(err, o.SetMatchETag(version))
		}
		if err != nil {
			return fault.Wrap(fault.Internal, err)
		}
		body, got, header, err := c.core.GetObject(ctx, u.Bucket, u.Key, o)
		var r minio.ErrorResponse
		if errors.As(err, &r) && r.StatusCode == http.StatusRequestedRangeNotSatisfiable { // it is empty
			whole, err := c.core.StatObject(ctx, u.Bucket, u.Key, minio.StatObjectOptions{})
			b, info.Bytes, info.Version = nil, whole.Size, whole.ETag
			return err
		}
		if err != nil {
			return changed(err)
		}
		defer body.Close() //nolint:errcheck // it was only read
		info.Bytes, info.Version = got.Size, got.ETag
		if start, total, ok := contentRange(header); ok {
			info.Bytes = total
			if start+got.Size != total {
				return fmt.Errorf("asked for the last %d bytes, got %q", most, header.Get("Content-Range"))
			}
		} else if got.Size > most {
			return fault.New(fault.Invalid, "the store does not serve ranges")
		}
		switch {
		case info.Version == "":
			return fault.New(fault.Invalid, "the store gives no ETag: whether the object changes while it is read cannot be known")
		case version != "" && info.Version != version:
			return errChanged
		}
		b = make([]byte, got.Size)
		_, err = io.ReadFull(body, b)
		return err
	})
	return b, info, err
}

// contentRange reads "bytes 5-9/100".
func contentRange(h http.Header) (start, total int64, ok bool) {
	text, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(text, "/")
	first, _, cut := strings.Cut(span, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	total, sizeErr := strconv.ParseInt(size, 10, 64)
	return start, total, ok && cut && err == nil && sizeErr == nil
}

// pageKeys is how many objects a store names in one answer.
const pageKeys = 1000

// List calls fn with the objects whose keys begin with u's, in the order of
// their keys, until fn returns false. No object is no error.
func (c *Client) List(ctx context.Context, u URL, fn func(Info) bool) error {
	last, more := "", true
	for more {
		seen := 0
		err := c.try(ctx, "list", u, 0, func(ctx context.Context, _ int) error {
			for o := range c.core.ListObjectsIter(ctx, u.Bucket, minio.ListObjectsOptions{Prefix: u.Key, Recursive: true, StartAfter: last, MaxKeys: pageKeys}) {
				if o.Err != nil {
					return o.Err
				}
				last = o.Key
				seen++
				if !fn(Info{URL: URL{u.Bucket, o.Key}, Bytes: o.Size, Version: strings.Trim(o.ETag, `"`)}) {
					more = false
					return nil
				}
				if seen%pageKeys == 0 { // the next page is the next request, with attempts of its own
					return nil
				}
			}
			more = false
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Exists reports whether there is such an object.
func (c *Client) Exists(ctx context.Context, u URL) (bool, error) {
	_, err := c.Stat(ctx, u)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
