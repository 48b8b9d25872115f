// Package s3 reads and writes objects of any store that speaks Amazon's S3 API.
// It is the only importer of minio-go, of which it uses signing, single requests
// and the words of the protocol; retries, ranges and uploads are done here,
// because they decide what a lost store does to a job.
//
// A Client is safe for concurrent use. Its errors name the object and never a
// credential. They are of kind NotFound (and errors.Is fs.ErrNotExist), Invalid
// when the store refuses what was asked, Conflict when an object is not the one
// that was meant, and Unavailable when the store stayed away through all attempts.
package s3
