package main

import (
	"os"
	"path/filepath"
)

// ours starts this program as a contender.
func ours(threads int) (*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start("troupe", threads, "", self, "-worker")
}

// withContenders starts ours and the peers with so many threads, and ends them
// when fn has returned.
func withContenders(threads int, peers []func() (*contender, error), fn func([]*contender) ([]Row, error)) ([]Row, error) {
	var all []*contender
	defer func() {
		for _, c := range all {
			c.stop()
		}
	}()
	us, err := ours(threads)
	if err != nil {
		return nil, err
	}
	all = append(all, us)
	for _, p := range peers {
		c, err := p()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	for _, c := range all { // nobody is measured while another still starts
		if _, err := c.ask(map[string]any{"mode": "ready"}); err != nil {
			return nil, err
		}
	}
	return fn(all)
}

// benchTrain measures samples per second of training loops against PyTorch.
func benchTrain(c Config) ([]Row, error) {
	seconds := 1.0
	nets := []map[string]any{
		{"inputs": 10, "hidden": []int{64, 32}, "outputs": 2},
		{"inputs": 100, "hidden": []int{256, 128}, "outputs": 2},
		{"inputs": 200, "hidden": []int{1024, 512}, "outputs": 10},
	}
	batches, dropouts := []int{256, 1024, 4096}, []float64{0.3, 0}
	if c.Quick {
		seconds, nets, batches = 0.2, nets[:1], batches[1:2]
	}
	var cases []map[string]any
	for _, n := range nets {
		for _, b := range batches {
			for _, d := range dropouts {
				one := map[string]any{"batch": b, "dropout": d, "seconds": seconds}
				for k, v := range n {
					one[k] = v
				}
				cases = append(cases, one)
			}
		}
	}
	var rows []Row
	for _, threads := range []int{1, 2} {
		torch := func() (*contender, error) {
			return start("pytorch", threads, "", "/usr/bin/python3", filepath.Join(c.Peers, "train.py"))
		}
		found, err := withContenders(threads, []func() (*contender, error){torch}, func(all []*contender) ([]Row, error) {
			return compare(c, "train", "samples/s", threads, cases, all)
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}
