package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// contender is a process that measures what it is asked: a JSON object a line
// in, {"value": ...} or {"error": ...} a line out. It stays up, so that what it
// has to load is not part of any figure.
type contender struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

type answer struct {
	Value float64 `json:"value"` // per second: more is better
	Error string  `json:"error"`
}

// start runs a contender with so many threads.
func start(name string, threads int, dir string, argv ...string) (*contender, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OPENBLAS_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	// OpenBLAS takes processors that it does not know for old ones, and is five times
	// as slow then: a peer shall run at its best.
	if kernel := map[kernels.Variant]string{kernels.AVX512: "SKYLAKEX", kernels.AVX2: "HASWELL"}[kernels.Active()]; kernel != "" {
		cmd.Env = append(cmd.Env, "OPENBLAS_CORETYPE="+kernel)
	}
	n := strconv.Itoa(threads)
	for _, k := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "GOMAXPROCS", "BENCH_THREADS"} {
		cmd.Env = append(cmd.Env, k+"="+n)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &contender{name: name, cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

func (c *contender) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

func (c *contender) ask(request any) (float64, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", c.name, err, line)
	}
	if a.Error != "" {
		return 0, fmt.Errorf("%s: %s", c.name, a.Error)
	}
	return a.Value, nil
}

// compare lets the contenders take turns at each case and returns a row for
// every peer and case; the first contender is ours.
func compare(c Config, bench, unit string, threads int, cases []map[string]any, contenders []*contender) ([]Row, error) {
	var rows []Row
	for _, params := range cases {
		values := make([][]float64, len(contenders))
		only, _ := params["only"].(string) // the peer that this case is for
		for range c.Runs {
			for i, who := range contenders {
				if i > 0 && only != "" && only != who.name {
					continue
				}
				v, err := who.ask(params)
				if err != nil {
					return nil, err
				}
				values[i] = append(values[i], v)
			}
		}
		ours := median(values[0])
		done := fmt.Sprintf("%s %s threads=%d: %s", bench, caseOf(shown(params)), threads, short(ours))
		for i, who := range contenders[1:] {
			if len(values[i+1]) == 0 {
				continue
			}
			peer := median(values[i+1])
			done += fmt.Sprintf(", %.2f of %s", ours/peer, who.name)
			rows = append(rows, Row{Bench: bench, Threads: threads, Ours: ours, Peer: peer, Unit: unit, Ratio: ours / peer, Name: who.name, Params: shown(params)})
		}
		fmt.Fprintln(os.Stderr, done)
	}
	return rows, nil
}

// shown returns the parameters that say what was measured.
func shown(params map[string]any) map[string]any {
	out := maps.Clone(params)
	for _, k := range []string{"path", "out", "seconds", "only", "numpy", "program", "categories"} {
		delete(out, k)
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
