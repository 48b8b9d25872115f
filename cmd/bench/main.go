// Command bench measures Troupe against its peers on the same machine in one
// run: contenders take turns, every figure is the median of several turns, and
// the table shows the ratio. Peers are real installations (PyTorch from Debian,
// DuckDB and Polars from npm); one that is missing is said to be so, not guessed.
//
//	bench [-bench train] [-runs 5] [-out rows.json] [-quick]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row is one comparison: a line of the table, and an object of the JSON file.
type Row struct {
	Bench   string         `json:"bench"`
	Threads int            `json:"threads"`
	Ours    float64        `json:"ours"`
	Peer    float64        `json:"peer"`
	Unit    string         `json:"unit"`
	Ratio   float64        `json:"ratio"` // ours to the peer's, more is better
	Name    string         `json:"peer_name"`
	Params  map[string]any `json:"-"`
}

// MarshalJSON writes the parameters beside the other fields.
func (r Row) MarshalJSON() ([]byte, error) {
	doc := map[string]any{}
	for k, v := range r.Params {
		doc[k] = v
	}
	type plain Row
	b, err := json.Marshal(plain(r))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// Config is what to measure.
type Config struct {
	Runs    int
	Quick   bool
	Against string // the only peer of tables to measure, "" for all
	Peers   string // folder of the peers' programs
	Node    string // folder with node_modules
	Program string // the troupe that runs jobs
}

var benches = map[string]func(Config) ([]Row, error){"train": benchTrain, "read": benchRead, "write": benchWrite, "features": benchFeatures, "scaling": benchScaling, "gang": benchGang, "gemm": benchGEMM}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-worker" {
		role := strings.Join(os.Args[2:], " ")
		if err := work(os.Stdin, os.Stdout, role); err != nil {
			fmt.Fprintln(os.Stderr, "bench worker:", err)
			os.Exit(1)
		}
		return
	}
	var c Config
	which := flag.String("bench", "", "only this one: "+strings.Join(names(), ", "))
	out := flag.String("out", "", "file to write the rows to, as a JSON array")
	flag.IntVar(&c.Runs, "runs", 5, "turns of every contender; the median counts")
	flag.BoolVar(&c.Quick, "quick", false, "fewer cases and shorter turns: to see that it works, not to measure")
	flag.StringVar(&c.Against, "against", "", "only this peer, duckdb, polars, pandas (read, write and features) or playbook (features)")
	flag.StringVar(&c.Peers, "peers", "cmd/bench/peers", "folder of the peers' programs")
	flag.StringVar(&c.Node, "node", "bin/bench", "folder whose node_modules hold DuckDB and Polars")
	flag.StringVar(&c.Program, "program", "bin/troupe", "the troupe that runs jobs (features, scaling)")
	flag.Parse()
	if err := run(c, *which, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() []string {
	var out []string
	for n := range benches {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func run(c Config, which, out string) error {
	list := names()
	if which != "" {
		if benches[which] == nil {
			return fmt.Errorf("there is no bench %q; there are %s", which, strings.Join(list, ", "))
		}
		list = []string{which}
	}
	rows := []Row{}
	for _, name := range list {
		found, err := benches[name](c)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		table(found)
		rows = append(rows, found...)
	}
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(rows, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func table(rows []Row) {
	w := tabwriter.NewWriter(os.Stdout, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "bench\tcase\tthreads\tours\tpeer\tunit\tratio\tof\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%.2f\t%s\t\n", r.Bench, caseOf(r.Params), r.Threads, short(r.Ours), short(r.Peer), r.Unit, r.Ratio, r.Name)
	}
	_ = w.Flush()
}

func caseOf(params map[string]any) string {
	var keys []string
	for k := range params {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%s=%v", k, params[k]))
	}
	return strings.Join(parts, " ")
}

func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
