package generate

import (
	"context"
	"io"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

// WriteParquet writes batches from to to-1 as one Parquet file, each as a row
// group. So many of them are made at the same time, and as many columns written;
// the bytes are the same for any number. A few batches are in memory, however
// many are written.
func (g *Generator) WriteParquet(ctx context.Context, w io.Writer, from, to, threads int) error {
	cfg := parquet.DefaultWriterConfig()
	cfg.Workers = threads
	pw, err := parquet.NewWriter(w, g.Schema(), cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	queue := make(chan chan *data.Batch, threads)
	free := make(chan *data.Batch, threads+2)
	wg.Go(func() {
		defer close(queue)
		for i := from; i < to; i++ {
			done := make(chan *data.Batch, 1)
			select {
			case queue <- done:
			case <-ctx.Done():
				return
			}
			var old *data.Batch
			select {
			case old = <-free:
			default:
			}
			wg.Go(func() { done <- g.batch(i, old) })
		}
	})
	for done := range queue {
		b := <-done
		if err := pw.Write(b); err != nil {
			return err
		}
		free <- b
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return pw.Close()
}
