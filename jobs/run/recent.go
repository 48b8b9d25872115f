package run

import "sync"

// recent are the last few of some things that take a while to make, by what they are
// made of: every task of a job needs the same. Nobody may change them.
type recent[T any] struct {
	mu   sync.Mutex
	made map[string]T
}

// of returns the thing of a key, which is made unless it is known. Two that ask at
// once may both make it.
func (r *recent[T]) of(key string, make func() (T, error)) (T, error) {
	r.mu.Lock()
	one, known := r.made[key]
	r.mu.Unlock()
	if known {
		return one, nil
	}
	one, err := make()
	if err != nil {
		return one, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	const most = 4
	if r.made == nil || len(r.made) >= most {
		r.made = map[string]T{}
	}
	r.made[key] = one
	return one, nil
}
