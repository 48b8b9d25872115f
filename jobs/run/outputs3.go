package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// bucket is the output of a job in an object store. Each attempt stages its
// parts under names of its own; publishing copies those of the attempts that
// counted to their places, within the store, and writes the manifest under the
// condition that nobody else has.
type bucket struct {
	output
	client *s3.Client
	root   s3.URL // ends with a slash
}

func (o output) bucket() (bucket, error) {
	c, u, err := o.files.Object(o.dir)
	if err != nil {
		return bucket{}, fault.Wrap(fault.Of(err), fmt.Errorf("output %w", err))
	}
	if u.Key = strings.TrimRight(u.Key, "/"); u.Key != "" {
		u.Key += "/"
	}
	return bucket{o, c, u}, nil
}

// names calls fn with the names of all objects below the root.
func (b bucket) names(ctx context.Context, fn func(name string) bool) error {
	return b.client.List(ctx, b.root, func(i s3.Info) bool { return fn(strings.TrimPrefix(i.URL.Key, b.root.Key)) })
}

// prepare looks at what is in the way: a prefix that holds anything but an output
// of Troupe is not touched.
func (b bucket) prepare(ctx context.Context) (replaces string, err error) {
	foreign := ""
	err = b.names(ctx, func(name string) bool {
		top, _, nested := strings.Cut(name, "/")
		if name != "" && (nested && top != stagingName || !ours(top)) {
			foreign = name
		}
		return foreign == ""
	})
	if err != nil {
		return "", fmt.Errorf("output: %w", err)
	}
	if foreign != "" {
		return "", fault.New(fault.Conflict, "output %s: it holds %q, which Troupe has not written; name an empty prefix", b.dir, foreign)
	}
	old, _, err := b.manifest(ctx)
	return seen(old), err
}

// stageFile uploads one file for this attempt.
func (b bucket) stageFile(ctx context.Context, name string, write func(w io.Writer) error) (s stagedPart, err error) {
	s.Name = name
	s.At = fmt.Sprintf("%s/%s/%s.%d", stagingName, b.job, name, b.attempt)
	up := b.client.Create(ctx, b.root.Join(s.At))
	defer func() {
		if aborted := up.Abort(context.WithoutCancel(ctx)); aborted != nil && err == nil {
			err = fmt.Errorf("output: %w", aborted)
		}
	}()
	w := &meter{w: up, hash: sha256.New()}
	if err = write(w); err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return s, fault.Wrap(fault.Of(err), fmt.Errorf("output %s: %s: %w", b.dir, name, err))
	}
	info, err := up.Commit()
	if err != nil {
		return s, fmt.Errorf("output: %w", err)
	}
	s.Bytes, s.Digest, s.Version = w.n, "sha256:"+hex.EncodeToString(w.hash.Sum(nil)), info.Version
	return s, nil
}

// publish makes the parts visible; it may be repeated at any point.
func (b bucket) publish(ctx context.Context, m *Manifest, text []byte, parts []stagedPart) error {
	h, err := b.claim(ctx, m)
	if err != nil {
		return err
	}
	if h == nil {
		return b.clean(ctx, stagingName+"/")
	}
	err = h.while(ctx, func(ctx context.Context) error {
		if err := b.place(ctx, parts); err != nil {
			return err
		}
		return b.sweep(ctx, parts)
	})
	if err == nil {
		err = h.write(ctx, text)
	}
	if fault.Of(err) == fault.Conflict {
		err = b.lost(ctx, m, err)
	}
	if err != nil {
		return err
	}
	return b.clean(ctx, stagingName+"/")
}

// copies is how many parts are copied at a time.
const copies = 8

// place copies every staged part to its place; one that is there already, from
// an attempt that was cut short, must have the right bytes.
func (b bucket) place(ctx context.Context, parts []stagedPart) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copies)
	for _, p := range parts {
		g.Go(func() error {
			from := s3.Info{URL: b.root.Join(p.At), Bytes: p.Bytes, Version: p.Version}
			_, err := b.client.Copy(ctx, from, b.root.Join(p.Name))
			if fault.Of(err) == fault.NotFound {
				err = checkPart(ctx, b.files, files.Join(b.dir, p.Name), p.Part)
			}
			if err != nil {
				return fmt.Errorf("output: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// sweep removes parts of an earlier output that the new one does not have.
func (b bucket) sweep(ctx context.Context, parts []stagedPart) error {
	var stale []s3.URL
	err := b.names(ctx, func(name string) bool {
		if isPart(name) && !slices.ContainsFunc(parts, func(p stagedPart) bool { return p.Name == name }) {
			stale = append(stale, b.root.Join(name))
		}
		return true
	})
	if err == nil {
		err = b.client.Delete(ctx, stale...)
	}
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// clean removes what has been staged below a prefix.
func (b bucket) clean(ctx context.Context, prefix string) error {
	var staged []s3.URL
	err := b.client.List(ctx, b.root.Join(prefix), func(i s3.Info) bool {
		staged = append(staged, i.URL)
		return true
	})
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return b.client.Delete(ctx, staged...)
}

// unstage removes what this job has staged, and gives back its claim.
func (b bucket) unstage(ctx context.Context) error {
	old, info, err := b.manifest(ctx)
	if err != nil {
		return err
	}
	if c, is := leaseOf(old); is && c.Job == b.job {
		free := lease{Beat: c.Beat + 1}.text()
		_, err := b.client.Put(ctx, b.root.Join(ManifestName), free, s3.Condition{Version: info.Version})
		if err != nil && fault.Of(err) != fault.Conflict { // of another: well
			return fmt.Errorf("output: %w", err)
		}
	}
	return b.clean(ctx, stagingName+"/"+b.job+"/")
}
