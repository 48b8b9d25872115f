package membership

import (
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/troupe-ml/troupe/internal/fault"
)

// States of a member.
const (
	Starting = ""         // its doors are not open yet
	Ready    = "ready"    // it takes work
	Draining = "draining" // it finishes what it has
)

// Member is what a member says of itself. Short names on the wire: all of it
// has to fit into 512 bytes.
type Member struct {
	ID          string `json:"i"`           // of this life of the process
	Name        string `json:"n"`           // what people call it
	Host        string `json:"h"`           // where it is reached
	Server      bool   `json:"s,omitempty"` // its roles
	Worker      bool   `json:"w,omitempty"`
	Servers     int    `json:"k,omitempty"` // how many servers the cluster has
	HTTPPort    int    `json:"hp,omitempty"`
	ActorPort   int    `json:"ap,omitempty"`
	DataPort    int    `json:"dp,omitempty"` // of collectives
	GossipPort  int    `json:"gp,omitempty"`
	NATSPort    int    `json:"np,omitempty"` // of a server with an embedded store
	RoutePort   int    `json:"rp,omitempty"`
	NATSURL     string `json:"nu,omitempty"` // of an external store, without its password
	Slots       int    `json:"c,omitempty"`
	MemoryBytes int64  `json:"m,omitempty"`
	PID         int    `json:"p,omitempty"`
	Version     string `json:"v,omitempty"`
	Protocol    int    `json:"pv,omitempty"` // major version of what members say to each other
	State       string `json:"st,omitempty"`
	Full        bool   `json:"f,omitempty"` // of a server whose disk is full
}

// HTTP returns HOST:PORT of the member's HTTP door, "" when it has none.
func (m Member) HTTP() string { return m.at(m.HTTPPort) }

// Actor returns HOST:PORT of the member's actors.
func (m Member) Actor() string { return m.at(m.ActorPort) }

// Data returns HOST:PORT of the member's collectives.
func (m Member) Data() string { return m.at(m.DataPort) }

// Gossip returns HOST:PORT of the member's gossip.
func (m Member) Gossip() string { return m.at(m.GossipPort) }

// NATS returns HOST:PORT of the member's embedded store.
func (m Member) NATS() string { return m.at(m.NATSPort) }

// Route returns HOST:PORT where other servers reach the member's store.
func (m Member) Route() string { return m.at(m.RoutePort) }

func (m Member) at(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort(m.Host, strconv.Itoa(port))
}

func compare(a, b Member) int {
	if d := strings.Compare(a.Name, b.Name); d != 0 {
		return d
	}
	return strings.Compare(a.ID, b.ID)
}

func encode(m Member) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil, fault.New(fault.Invalid, "membership: what %s says of itself takes %d bytes, %d fit: shorten its name", m.Name, len(b), memberlist.MetaMaxSize)
	}
	return b, nil
}

func decode(b []byte) (Member, error) {
	var m Member
	if err := json.Unmarshal(b, &m); err != nil || m.ID == "" {
		return Member{}, fault.New(fault.Invalid, "membership: a member says %.80q of itself: it is no Troupe, or of another version", b)
	}
	return m, nil
}

// fits returns why two members cannot be in one cluster.
func fits(self, other Member) error {
	if self.Protocol != other.Protocol {
		return fault.New(fault.Invalid, "membership: this node speaks version %d of the protocol (troupe %s), member %s version %d (troupe %s): they do not work together; install one version on all nodes", self.Protocol, self.Version, other.Name, other.Protocol, other.Version)
	}
	if !Compatible(self.Version, other.Version) {
		return fault.New(fault.Invalid, "membership: this is version %s, member %s is %s: they do not work together; install one version on all nodes", self.Version, other.Name, other.Version)
	}
	if self.Servers != other.Servers && self.Servers > 0 && other.Servers > 0 {
		return fault.New(fault.Invalid, "membership: this node is of a cluster of %d servers, member %s of one of %d: pass the same --servers to all nodes", self.Servers, other.Name, other.Servers)
	}
	return nil
}

// Compatible reports whether programs of two versions work together: those of
// one major version do, below 1.0 those of one minor version. What is not a
// version, such as that of a developer's build, works with everything.
func Compatible(a, b string) bool {
	x, ok1 := series(a)
	y, ok2 := series(b)
	return !ok1 || !ok2 || x == y
}

// series returns the part of a version that has to be the same.
func series(v string) (string, bool) {
	parts := strings.SplitN(strings.TrimPrefix(v, "v"), ".", 3)
	if len(parts) < 2 {
		return "", false
	}
	for _, p := range parts[:2] {
		if _, err := strconv.ParseUint(p, 10, 32); err != nil {
			return "", false
		}
	}
	if parts[0] == "0" {
		return "0." + parts[1], true
	}
	return parts[0], true
}
