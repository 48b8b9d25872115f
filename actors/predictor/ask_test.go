package predictor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store/memory"
)

// The other members are this program again, with their boot id in the
// environment: a process may have one System.
const childVariable = "TROUPE_PREDICTOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if boot := os.Getenv(childVariable); boot != "" {
		if err := child(boot); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// patient has time for a member on a busy machine.
func patient() Config {
	cfg := DefaultConfig()
	cfg.PeerTimeout = 30 * time.Second
	return cfg
}

func start(boot string, cfg Config, peers func() []Peer) (*actors.System, *Predictor, error) {
	sys := actors.DefaultConfig()
	sys.Boot, sys.Messages = boot, []string{wire.Package}
	s, err := actors.Start(sys)
	if err != nil {
		return nil, nil, err
	}
	st := memory.New()
	p := Parts{Config: cfg, System: s, Registry: registry.Open(st), Blobs: st.Blobs, Peers: peers, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler)}
	b, err := train(1)
	if err != nil {
		return nil, nil, err
	}
	text, err := b.Encode()
	if err != nil {
		return nil, nil, err
	}
	if cfg.Warm {
		if err := deploy(st, "m", "production", text); err != nil {
			return nil, nil, err
		}
	}
	d, err := Start(p)
	return s, d, err
}

// child serves a model until its standard input ends.
func child(boot string) error {
	s, d, err := start(boot, patient(), nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, s.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
	d.Close()
	s.Close()
	return nil
}

func startChild(t *testing.T, boot string) (Peer, *exec.Cmd) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+boot)
	c.Stderr = os.Stderr
	_, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return Peer{strings.TrimSpace(line), boot}, c
}

// digits is an answer as it looks to whoever reads the JSON.
func digits(t *testing.T, answers []Answer) string {
	t.Helper()
	text, err := json.Marshal(answers)
	require.NoError(t, err)
	return string(text)
}

// One test holds the only System of this process.
func TestWhoHasNoModelAsksSomebodyWhoHas(t *testing.T) {
	t.Parallel()
	var peers atomic.Pointer[[]Peer]
	peers.Store(&[]Peer{})
	cfg := patient()
	cfg.Warm = false
	s, d, err := start("asker", cfg, func() []Peer { return *peers.Load() })
	require.NoError(t, err)
	t.Cleanup(func() { d.Close(); s.Close() })
	ctx := context.Background()
	_, err = d.Predict(ctx, "m", rowsOf(1, 1))
	require.Equal(t, fault.Unavailable, fault.Of(err), "nobody is here")
	require.Empty(t, d.Served())

	a, processA := startChild(t, "a")
	b, _ := startChild(t, "b")
	peers.Store(&[]Peer{a, b})
	model, _ := trained(t, 1)
	rows := rowsOf(3, 3)
	got, err := d.Predict(ctx, "m", rows)
	require.NoError(t, err)
	require.Equal(t, digits(t, oracle(t, model, "m/1", rows)), digits(t, got))

	_, err = d.Predict(ctx, "other", rows)
	require.Equal(t, fault.NotFound, fault.Of(err))

	many := rowsOf(20_000, 4) // several messages, both ways
	got, err = d.Predict(ctx, "m", many)
	require.NoError(t, err)
	require.Equal(t, digits(t, oracle(t, model, "m/1", many)), digits(t, got))

	many[19_000] = json.RawMessage(`{"x": 1, "y": "north"}`)
	_, err = d.Predict(ctx, "m", many)
	var fields FieldErrors
	require.ErrorAs(t, err, &fields)
	require.Equal(t, 19_000, fields[0].Row)
	require.Equal(t, "y", fields[0].Field)
	_, err = d.Predict(ctx, "m", []json.RawMessage{rows[0], json.RawMessage(`{"x": 1, "note": "` + strings.Repeat("x", wire.MaxBytes) + `"}`)})
	require.ErrorAs(t, err, &fields)
	require.Equal(t, 1, fields[0].Row)

	diesAmid(t, d, processA, func() error {
		got, err := d.Predict(ctx, "m", rows)
		if err == nil && digits(t, got) != digits(t, oracle(t, model, "m/1", rows)) {
			err = fault.New(fault.Internal, "%v", got)
		}
		return err
	})
}

// diesAmid kills a process while several ask: everybody is answered, though the
// list of peers goes on naming it.
func diesAmid(t *testing.T, d *Predictor, p *exec.Cmd, ask func() error) {
	t.Helper()
	errs := make([]error, 8)
	var all sync.WaitGroup
	begun := make(chan struct{}, len(errs))
	for i := range errs {
		all.Go(func() {
			for round := 0; round < 50 && errs[i] == nil; round++ {
				errs[i] = ask()
				if round == 5 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	require.NoError(t, p.Process.Kill())
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Empty(t, d.pending, "nothing is left behind")
}
