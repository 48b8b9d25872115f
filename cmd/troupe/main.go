// Command troupe is the one program of Troupe: it runs jobs over tables on a
// cluster or in its own process, is a node of a cluster, and looks at both.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
)

// version is set when the program is built.
var version = "dev"

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(exit.ErrInterrupted)
		asked := time.Now()
		for range signals { // who asks twice does not want to wait; the same wish may come by several ways at once
			if time.Since(asked) > time.Second {
				os.Exit(int(exit.Interrupted))
			}
		}
	}()
	os.Exit(int(newApp().run(ctx, os.Args[1:])))
}
