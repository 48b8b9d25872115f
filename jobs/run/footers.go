package run

import (
	"slices"
	"strconv"
	"sync"

	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// footers are those of the files that were opened last: every task of a job reads
// a part of a file, and a footer says something of all parts. They may be shared by
// jobs, since a file that has changed has another stamp.
type footers struct {
	mu    sync.Mutex
	kept  []keptFooter // the last one used is the last
	bytes int64        // of the footers, as they are in the files
}

type keptFooter struct {
	key  string
	file *parquet.File // its reader is closed
}

// What is kept of footers, as they are in the files; in memory they take some five
// times as much. Where tasks may use little, it is a small part of that.
const (
	mostFooters  = 8 << 20
	footersShare = 128
)

// open opens a file of Parquet. No more than a share of so much memory is kept, or
// of much when it is 0.
func (c *footers) open(f files.File, name string, memory int64) (*parquet.File, error) {
	stamp := f.Stamp()
	if c == nil || stamp == "" {
		return parquet.Open(f, f.Size(), name)
	}
	key := name + "\x00" + strconv.FormatInt(f.Size(), 10) + "\x00" + stamp
	if known := c.find(key); known != nil {
		return known.Over(f), nil
	}
	pf, err := parquet.Open(f, f.Size(), name)
	if err != nil {
		return nil, err
	}
	most := int64(mostFooters)
	if memory > 0 {
		most = min(most, memory/footersShare)
	}
	c.keep(keptFooter{key, pf.Over(nil)}, most)
	return pf, nil
}

func (c *footers) find(key string) *parquet.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(k keptFooter) bool { return k.key == key })
	if i < 0 {
		return nil
	}
	found := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), found)
	return found.file
}

// keep remembers a footer, and forgets those that were not used for the longest
// time, until what is kept is no more than most.
func (c *footers) keep(k keptFooter, most int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.kept, func(old keptFooter) bool { return old.key == k.key }) {
		return // another task was faster
	}
	c.kept = append(c.kept, k)
	c.bytes += k.file.FooterBytes()
	for c.bytes > most {
		c.bytes -= c.kept[0].file.FooterBytes()
		c.kept = slices.Delete(c.kept, 0, 1)
	}
}
