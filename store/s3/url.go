package s3

import (
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/troupe-ml/troupe/internal/fault"
)

const scheme = "s3://"

// URL names an object, or with a key that is empty or ends with a slash all
// objects that begin with it.
type URL struct {
	Bucket, Key string
}

// IsURL reports whether a path is meant to be one of a store.
func IsURL(path string) bool { return strings.HasPrefix(path, scheme) }

// Parse reads s3://bucket/key. What follows the bucket is the key as it is:
// nothing in it is unescaped.
func Parse(text string) (URL, error) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return URL{}, fault.New(fault.Invalid, "%s: want s3://BUCKET/KEY", text)
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if err := s3utils.CheckValidBucketName(bucket); err != nil {
		return URL{}, fault.New(fault.Invalid, "%s: bucket %q: %w", text, bucket, err)
	}
	for word := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if word == "." || word == ".." || word == "" && key != "" {
			return URL{}, fault.New(fault.Invalid, "%s: a key must not hold %q between slashes", text, word)
		}
	}
	if len(key) > 1024 {
		return URL{}, fault.New(fault.Invalid, "%s: a key of %d bytes, at most 1024 are allowed", text, len(key))
	}
	return URL{bucket, key}, nil
}

// String returns s3://bucket/key.
func (u URL) String() string { return scheme + u.Bucket + "/" + u.Key }

// Join returns the URL of name below u.
func (u URL) Join(name string) URL {
	if u.Key == "" || strings.HasSuffix(u.Key, "/") {
		return URL{u.Bucket, u.Key + name}
	}
	return URL{u.Bucket, u.Key + "/" + name}
}
