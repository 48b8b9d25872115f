package s3test

import (
	"net/http"
	"sync"
)

// atomic makes writes of an object atomic to those who read it, as S3 says they
// are. The server, which keeps an ETag in a file of its own (no file system has
// to know extended attributes), puts the new one there before the object: whoever
// reads in between would get the old object with the new ETag, and win a write
// that has the condition that nobody has written since.
type atomic struct {
	http.RoundTripper
	objects sync.Map // of *sync.RWMutex, by path
}

// RoundTrip ends with the head of the answer: the server has opened the object
// that it reads by then, and a writer need not wait for the body.
func (a *atomic) RoundTrip(r *http.Request) (*http.Response, error) {
	entry, _ := a.objects.LoadOrStore(r.URL.Path, &sync.RWMutex{})
	object := entry.(*sync.RWMutex)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		object.RLock()
		defer object.RUnlock()
	} else {
		object.Lock()
		defer object.Unlock()
	}
	return a.RoundTripper.RoundTrip(r)
}
