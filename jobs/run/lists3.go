package run

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// listObjects is List for s3:// paths. A key that is an object is a file, any
// other a folder of the keys below it.
func listObjects(ctx context.Context, f *files.Files, where string) ([]string, error) {
	c, u, err := f.Object(where)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), fmt.Errorf("input %w", err))
	}
	if strings.ContainsAny(u.Key, "*?[") {
		return globObjects(ctx, c, u)
	}
	if u.Key != "" && !strings.HasSuffix(u.Key, "/") {
		is, err := c.Exists(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		if is {
			return []string{u.String()}, nil
		}
		u.Key += "/"
	}
	m, err := ReadManifest(ctx, f, u.String())
	if err == nil {
		var names []string
		for _, p := range m.Parts {
			names = append(names, u.Join(p.Name).String())
		}
		return names, nil
	}
	if !isNone(err) {
		return nil, err
	}
	return objectsBelow(ctx, c, u)
}

func objectsBelow(ctx context.Context, c *s3.Client, u s3.URL) ([]string, error) {
	var names []string
	any, staging := false, false
	err := c.List(ctx, u, func(i s3.Info) bool {
		any = true
		name := strings.TrimPrefix(i.URL.Key, u.Key)
		staging = staging || strings.HasPrefix(name, stagingName+"/") || name == ManifestName
		if strings.HasSuffix(strings.ToLower(name), ".parquet") && visibleKey(name) {
			names = append(names, i.URL.String())
		}
		return true
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("input: %w", err)
	case staging:
		return nil, unfinished(u.String())
	case !any:
		return nil, fault.New(fault.NotFound, "input %s: there is no such object, and none whose key begins so", u)
	case len(names) == 0:
		return nil, fault.New(fault.Invalid, "input %s: the prefix holds no Parquet file (*.parquet)", u)
	}
	return names, nil
}

func globObjects(ctx context.Context, c *s3.Client, u s3.URL) ([]string, error) {
	if _, err := path.Match(u.Key, ""); err != nil {
		return nil, fault.New(fault.Invalid, "input %s: %w", u, err)
	}
	var names []string
	fixed := u.Key[:strings.IndexAny(u.Key, "*?[")]
	err := c.List(ctx, s3.URL{Bucket: u.Bucket, Key: fixed}, func(i s3.Info) bool {
		if ok, err := path.Match(u.Key, i.URL.Key); err == nil && ok && visibleMatch(u.Key, i.URL.Key) {
			names = append(names, i.URL.String())
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	if len(names) == 0 {
		return nil, fault.New(fault.NotFound, "input %s: no object matches", u)
	}
	return names, nil
}

// visibleMatch reports whether no word of a path that a pattern has found begins
// with "_" or ".", but where the pattern says so.
func visibleMatch(pattern, found string) bool {
	words := strings.Split(found, "/")
	for i, want := range strings.Split(pattern, "/") {
		if i < len(words) && words[i] != want && !visibleKey(words[i]) {
			return false
		}
	}
	return true
}

// visibleKey reports whether no word of a key begins with "_" or ".".
func visibleKey(key string) bool {
	for word := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(word, "_") || strings.HasPrefix(word, ".") {
			return false
		}
	}
	return true
}
