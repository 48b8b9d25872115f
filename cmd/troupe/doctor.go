package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

type findings []finding

// Sections is a line for each check.
func (f findings) Sections() []render.Section {
	s := render.Section{Columns: render.Left("check", "ok", "detail")}
	for _, x := range f {
		s.Rows = append(s.Rows, []string{x.Check, yesNo(x.OK), x.Detail})
	}
	return []render.Section{s}
}

func (a *app) doctorCommand() *cobra.Command {
	return a.verb("doctor", "Look whether Troupe can work here; exit code 3 when not", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		all := findings{
			{"program", true, fmt.Sprintf("%s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)},
			{"processor", true, fmt.Sprintf("%d cores, kernels of %s", runtime.GOMAXPROCS(0), kernels.Active())},
			checkMemory(node.MachineBytes()), a.checkFolder(), a.checkDisk(), a.checkClock(), checkPorts(ctx),
		}
		if a.address == "" {
			all = append(all, finding{"cluster", true, "none: jobs run in this process; start one with `troupe up`, or pass --address"})
		} else {
			all = append(all, a.checkCluster(ctx), a.checkSkew(ctx))
		}
		if err := a.result(all); err != nil {
			return err
		}
		for _, f := range all {
			if !f.OK {
				return exit.With(exit.Refused, nil)
			}
		}
		return nil
	})
}

// leastMemory is what a node with small jobs needs.
const leastMemory = 512 << 20

// checkMemory looks at what this process may use.
func checkMemory(machine int64) finding {
	f := finding{"memory", machine >= leastMemory, fmt.Sprintf("%s may be used here, of which a node gives %s to tasks", bytesText(machine), bytesText(machine/2))}
	if !f.OK {
		f.Detail += fmt.Sprintf("; at least %s are needed", bytesText(leastMemory))
	}
	return f
}

// leastDisk is what must be free, since a full disk stops a store.
const leastDisk = 1 << 30

// checkDisk looks at the room where the project folder is.
func (a *app) checkDisk() finding {
	at, err := existing(a.dir)
	if err != nil {
		return finding{"disk", false, err.Error()}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(at, &st); err != nil {
		return finding{"disk", false, fmt.Sprintf("%s: %v", at, err)}
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ between systems
	f := finding{"disk", free >= leastDisk, fmt.Sprintf("%s are free at %s", bytesText(free), at)}
	if !f.OK {
		f.Detail += fmt.Sprintf("; at least %s are needed", bytesText(leastDisk))
	}
	return f
}

// earliest is before any Troupe: a clock that shows it is wrong.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// checkClock looks whether the machine knows the time. Leases and heartbeats do
// not compare clocks, but certificates and the times of runs are read elsewhere.
func (a *app) checkClock() finding {
	now := a.clock.Now().UTC()
	return finding{"clock", now.After(earliest), now.Format(time.RFC3339)}
}

// maxSkew is how far clocks may be apart: certificates are made to be valid a
// little before their time.
const maxSkew = time.Minute

// checkSkew compares the clock with that of a node.
func (a *app) checkSkew(ctx context.Context) finding {
	f := finding{Check: "clock of the cluster"}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	base := strings.FieldsFunc(a.address, func(r rune) bool { return r == ',' || r == ' ' })[0]
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", http.NoBody)
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	_ = resp.Body.Close() // only the header counts
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		f.Detail = "the node does not say what time it is"
		return f
	}
	skew := a.clock.Now().Sub(there).Truncate(time.Second)
	f.OK, f.Detail = skew.Abs() <= maxSkew, fmt.Sprintf("%v apart", skew.Abs())
	if !f.OK {
		f.Detail += ": set both by a time service"
	}
	return f
}

// checkPorts looks which of a node's default ports are taken. That is no fault:
// a node may be running here, and another can be given others.
func checkPorts(ctx context.Context) finding {
	var taken []string
	for _, p := range []struct {
		name string
		port int
		udp  bool
	}{{"http", node.DefaultHTTPPort, false}, {"actor", node.DefaultActorPort, false}, {"gossip", node.DefaultGossipPort, true}, {"nats", node.DefaultNATSPort, false}, {"route", node.DefaultRoutePort, false}} {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", at)
		if err == nil {
			err = l.Close()
		}
		if p.udp && err == nil {
			var u net.PacketConn
			if u, err = lc.ListenPacket(ctx, "udp", at); err == nil {
				err = u.Close()
			}
		}
		if err != nil {
			taken = append(taken, fmt.Sprintf("%d (--%s-port)", p.port, p.name))
		}
	}
	if len(taken) == 0 {
		return finding{"ports", true, "all that a node takes by default are free"}
	}
	return finding{"ports", true, "in use, by a node or another program: " + strings.Join(taken, ", ") + "; another node here needs others"}
}

// checkFolder looks whether the project folder can be written.
func (a *app) checkFolder() finding {
	at, err := existing(a.dir)
	if err != nil {
		return finding{"project folder", false, err.Error()}
	}
	tmp, err := os.CreateTemp(at, ".troupe-doctor-*")
	if err != nil {
		return finding{"project folder", false, fmt.Sprintf("%s cannot be written: %v", at, err)}
	}
	_ = tmp.Close() // nothing was written
	if err := os.Remove(tmp.Name()); err != nil {
		return finding{"project folder", false, err.Error()}
	}
	dir, err := filepath.Abs(a.dir)
	return finding{"project folder", err == nil, dir + " can be written"}
}

// existing returns the folder, or the nearest above it that is there: it may be
// made later.
func existing(dir string) (string, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(at)
		if err == nil && info.IsDir() {
			return at, nil
		}
		if err == nil {
			return "", fmt.Errorf("%s is no folder", at)
		}
		up := filepath.Dir(at)
		if up == at {
			return "", errors.Join(err)
		}
		at = up
	}
}

// nodesWithOneLeader looks at the nodes again, for a while, until one of them
// coordinates: word of it takes a moment to get around when a cluster has begun, or
// another node takes over.
func (a *app) nodesWithOneLeader(ctx context.Context, b backend.Backend) ([]api.Node, error) {
	const looks, pause = 25, 200 * time.Millisecond
	for look := 1; ; look++ {
		nodes, err := b.Nodes(ctx)
		leaders := 0
		for _, n := range nodes {
			if n.Leader {
				leaders++
			}
		}
		if err != nil || leaders == 1 || look == looks {
			return nodes, err
		}
		select {
		case <-ctx.Done():
			return nodes, nil
		case <-a.clock.After(pause):
		}
	}
}

func (a *app) checkCluster(ctx context.Context) finding {
	f := finding{Check: "cluster"}
	err := a.with(func(b backend.Backend) error {
		nodes, err := a.nodesWithOneLeader(ctx, b)
		if err != nil {
			return err
		}
		f.OK = len(nodes) > 0
		versions := map[string]bool{}
		slots, leaders := 0, 0
		for _, n := range nodes {
			versions[n.Version] = true
			slots += n.Slots
			if n.Leader {
				leaders++
			}
		}
		f.Detail = fmt.Sprintf("%d nodes, %d slots", len(nodes), slots)
		if leaders != 1 {
			f.OK, f.Detail = false, f.Detail+fmt.Sprintf("; %d of them coordinate, where one is expected", leaders)
		}
		if len(versions) > 1 {
			f.Detail += "; they run different versions"
		}
		return nil
	})
	if err != nil {
		f.OK, f.Detail = false, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return f
}
