package main

import (
	"sync"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/awsconfig"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// newFiles returns what opens the paths of specs. The settings of the object
// store are looked for when the first s3:// path is met, and again as long as
// there is something wrong with them.
func newFiles(env awsconfig.Env) *files.Files {
	var mu sync.Mutex
	var client *s3.Client
	return files.New(func() (*s3.Client, error) {
		mu.Lock()
		defer mu.Unlock()
		if client != nil {
			return client, nil
		}
		cfg, err := awsconfig.Load(env)
		if err != nil {
			return nil, err
		}
		client, err = s3.New(cfg)
		return client, err
	})
}
