package sweep

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Request is a Config as people write it; what is empty is the default.
type Request struct {
	DeletedFor string `json:"deleted_for,omitempty" doc:"give up runs and experiments that were deleted so long ago, such as 30d, the default"`
	UnusedFor  string `json:"unused_for,omitempty" doc:"give up blobs that nothing refers to and that are so old, such as 24h, the default"`
	Yes        bool   `json:"yes,omitempty" doc:"do it; else it is only counted"`
}

// Config returns what is asked for. The error is of kind Invalid.
func (r Request) Config() (Config, error) {
	c := DefaultConfig()
	c.Do = r.Yes
	for _, f := range []struct {
		name, text string
		into       *time.Duration
	}{{"deleted-for", r.DeletedFor, &c.RunsAfter}, {"unused-for", r.UnusedFor, &c.BlobsAfter}} {
		if f.text == "" {
			continue
		}
		d, err := span(f.text)
		if err != nil {
			return Config{}, fault.New(fault.Invalid, "gc: %s: %w", f.name, err)
		}
		*f.into = d
	}
	return c, c.Validate()
}

// span reads a time such as 30d, 24h or 1h30m.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n >= 0 && n <= 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	return 0, fmt.Errorf("%q is no span of time: write 30d, 24h or 90m", text)
}
