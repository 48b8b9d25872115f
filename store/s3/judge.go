package s3

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/troupe-ml/troupe/internal/fault"
)

// judge gives what an attempt failed with a kind and words that help. Whatever
// is not an answer of the store is the network's fault, and Unavailable.
func (c *Client) judge(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	var keys *noKeys
	if errors.As(err, &keys) {
		return fault.New(fault.Invalid, "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, on every node: %w", keys.err)
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	if errors.As(err, &unknown) || errors.As(err, &host) {
		return fault.New(fault.Invalid, "the store's certificate is not trusted: %w", err)
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return fault.Wrap(fault.Unavailable, err)
	}
	return c.judgeAnswer(r)
}

// judgeAnswer is judge for answers of the store.
func (c *Client) judgeAnswer(r minio.ErrorResponse) error {
	switch r.Code {
	case minio.NoSuchBucket:
		return fault.New(fault.NotFound, "there is no bucket %q: %w", r.BucketName, fs.ErrNotExist)
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		c.creds.Expire() // the next attempt asks for new ones
		return fault.New(fault.Unavailable, "the credentials have expired (%s)", r.Code)
	case "RequestTimeTooSkewed":
		return fault.New(fault.Invalid, "this machine's clock differs too much from the store's (%s)", r.Code)
	case "SlowDown", "RequestTimeout", "InternalError", "ConditionalRequestConflict", "OperationAborted", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BadDigest", "XAmzContentSHA256Mismatch":
		return fault.New(fault.Unavailable, "the store answers %s", words(r))
	case "NotImplemented":
		return fault.New(fault.Invalid, "the store cannot do this: %s", words(r))
	case "NoSuchUpload":
		return fault.New(fault.NotFound, "the upload is gone: %s", words(r))
	}
	switch s := r.StatusCode; {
	case s == http.StatusNotFound && (r.Code == minio.NoSuchKey || r.Code == "NotFound"):
		return fault.New(fault.NotFound, "there is no such object: %w", fs.ErrNotExist)
	case s == http.StatusForbidden || s == http.StatusUnauthorized:
		return fault.New(fault.Invalid, "access denied: this node's credentials do not allow it (%s)", words(r))
	case s == http.StatusPreconditionFailed:
		return fault.New(fault.Conflict, "it is not the object that was expected: somebody has written it meanwhile")
	case s == http.StatusMovedPermanently || s == http.StatusTemporaryRedirect || s == http.StatusPermanentRedirect:
		return fault.New(fault.Invalid, "the bucket is in another region (%q): set AWS_REGION or the endpoint", r.Region)
	case s == http.StatusNotImplemented:
		return fault.New(fault.Invalid, "the store cannot do this: %s", words(r))
	case s >= http.StatusInternalServerError || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s == 0:
		return fault.New(fault.Unavailable, "the store answers %s", words(r))
	default:
		return fault.New(fault.Invalid, "the store refuses: %s", words(r))
	}
}

// words is what the store has said, clipped.
func words(r minio.ErrorResponse) string {
	const most = 300
	text := r.Code
	if r.StatusCode != 0 {
		text = http.StatusText(r.StatusCode) + ": " + r.Code
	}
	if r.Message != "" {
		text += ": " + r.Message
	}
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}
