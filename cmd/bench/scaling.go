package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// benchScaling measures what distribution costs: the playbook's ten features in
// one process, and on local clusters of one, two and four nodes that share the
// same cores. The peer is Troupe in one process, so a ratio of 1 costs nothing.
// Digests must be equal.
func benchScaling(c Config) ([]Row, error) {
	rows := int64(10_000_000)
	if c.Quick {
		rows = 300_000
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := scaling{dir: dir, rows: rows}
	if b.program, err = filepath.Abs(c.Program); err != nil {
		return nil, err
	}
	if err := writeTransactions(filepath.Join(dir, "transactions.parquet"), rows); err != nil {
		return nil, err
	}
	nodes := []int{0, 1, 2, 4} // none: one process
	rates := make([][]float64, len(nodes))
	for range c.Runs {
		for i, n := range nodes {
			rate, err := b.measure(n)
			if err != nil {
				return nil, fmt.Errorf("%d nodes: %w", n, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	alone := median(rates[0])
	var out []Row
	for i, n := range nodes[1:] {
		rate := median(rates[i+1])
		out = append(out, Row{
			Bench: "scaling", Threads: runtime.NumCPU(), Ours: rate, Peer: alone, Unit: "rows/s", Ratio: rate / alone, Name: "one process",
			Params: map[string]any{"nodes": n, "rows": rows},
		})
	}
	return out, nil
}

type scaling struct {
	program, dir string
	rows         int64
	digest       string // of the first job's output
}

// measure returns the rows per second of the job on so many nodes, whose slots
// are together as many as there are cores if there are enough.
func (b *scaling) measure(nodes int) (rate float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "job-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "features.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, playbook, filepath.Join(b.dir, "transactions.parquet"), filepath.Join(dir, "out")), 0o600); err != nil {
		return 0, err
	}
	args := []string{"run", file, "--dir", filepath.Join(dir, "project"), "--quiet", "-o", "json"}
	if nodes > 0 {
		address, stop, err := b.up(dir, nodes)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		args = append(args, "--address", address)
	}
	cmd := exec.Command(b.program, args...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	text, err := cmd.Output()
	seconds := time.Since(start).Seconds()
	var end struct{ Status, Digest string }
	if err := errors.Join(err, json.Unmarshal(text, &end)); err != nil {
		return 0, err
	}
	if b.digest == "" {
		b.digest = end.Digest
	}
	if end.Status != "succeeded" || end.Digest != b.digest {
		return 0, fmt.Errorf("the job %s with digest %s, expected %s", end.Status, end.Digest, b.digest)
	}
	return float64(b.rows) / seconds, nil
}

// settle is how long a cluster is left alone once it has started. Nodes introduce
// themselves to the coordinator within a heartbeat of half a second: a job that is
// submitted sooner has not all of them yet, which is no cost of distribution.
const settle = time.Second

// up starts a cluster and returns where it is and what ends it.
func (b *scaling) up(dir string, nodes int) (address string, stop func() error, err error) {
	slots := max(1, runtime.NumCPU()/nodes)
	cmd := exec.Command(b.program, "up", "--nodes", strconv.Itoa(nodes), "--slots", strconv.Itoa(slots), "--dir", filepath.Join(dir, "cluster"), "-o", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		_ = cmd.Wait() // it ends by the signal
		return nil
	}
	var started struct{ Address string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&started); err != nil {
		return "", nil, errors.Join(fmt.Errorf("troupe up: %w", err), stop())
	}
	time.Sleep(settle)
	return started.Address, stop, nil
}
