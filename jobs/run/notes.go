package run

import "sync"

// noted is what the tasks of a stage that is done have left, read once for all
// tasks of a later one: each of them needs it all.
type noted struct {
	mu   sync.Mutex
	docs any // a slice, by task; nil: not read yet
}

// note leaves a document for the tasks of later stages of this job alone.
func (w *work) note(doc any) (string, error) { return w.putIn(w.Store.Passing(), doc) }

// notesOf returns the notes that the tasks of an earlier stage have left, in the
// order of shards. Nobody may change them.
func notesOf[T any](w *work, stage string) ([]T, error) {
	one := w.noted(string(w.task.Job) + "/" + stage)
	one.mu.Lock()
	defer one.mu.Unlock()
	if docs, ok := one.docs.([]T); ok {
		return docs, nil
	}
	results, err := w.results(stage)
	if err != nil {
		return nil, err
	}
	docs := make([]T, len(results))
	for i, r := range results {
		if err := w.getFrom(w.Store.Passing(), r.Output, &docs[i]); err != nil {
			return nil, err
		}
	}
	one.docs = docs
	return docs, nil
}

// noted returns the place of a stage's documents. Only those of the last few stages
// are remembered.
func (e *Env) noted(key string) *noted {
	e.mu.Lock()
	defer e.mu.Unlock()
	const most = 4
	one := e.notes[key]
	if one == nil {
		if e.notes == nil || len(e.notes) >= most {
			e.notes = map[string]*noted{}
		}
		one = &noted{}
		e.notes[key] = one
	}
	return one
}
