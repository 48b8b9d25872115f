package node

import (
	"errors"
	"net"
	"strconv"
	"syscall"

	"github.com/troupe-ml/troupe/internal/fault"
)

// advertised returns the address that others reach the node at.
func advertised(cfg Config) (string, error) {
	if cfg.Advertise != "" {
		return cfg.Advertise, nil
	}
	if ip := net.ParseIP(cfg.Bind); ip != nil && !ip.IsUnspecified() {
		return cfg.Bind, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fault.New(fault.Invalid, "node: addresses of this machine: %w: pass --advertise", err)
	}
	var public string
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() || n.IP.To4() == nil {
			continue
		}
		if n.IP.IsPrivate() {
			return n.IP.String(), nil
		}
		if public == "" {
			public = n.IP.String()
		}
	}
	if public == "" {
		return "", fault.New(fault.Invalid, "node: this machine has no address that others can reach: pass --advertise")
	}
	return public, nil
}

// listen opens a port. One in use is of kind Conflict.
func listen(what, host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.New(fault.Conflict, "node: %s port %d of %s is in use: stop who uses it, or choose another port", what, port, host)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "node: %s port: %w", what, err)
	}
	return l, nil
}

// reserve returns a port, or one that was free a moment ago for 0.
func reserve(what, host string, port int) (int, error) {
	l, err := listen(what, host, port)
	if err != nil {
		return 0, err
	}
	port = portOf(l.Addr().String())
	return port, l.Close()
}

// portOf returns the port of HOST:PORT, 0 when there is none.
func portOf(address string) int {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}
