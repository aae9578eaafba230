package egress

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// shownRoutes is how many routes a refusal lists: a table may have thousands.
const shownRoutes = 20

// NoRouteError refuses an endpoint that is not in the route table.
type NoRouteError struct {
	Host  string
	Port  uint16
	known []string // every endpoint there is, sorted
}

func (e *NoRouteError) Error() string {
	has := "there are no routes"
	if n := len(e.known); n > 0 {
		has = "the routes are " + strings.Join(e.known[:min(n, shownRoutes)], ", ")
		if n > shownRoutes {
			has += fmt.Sprintf(" and %d more", n-shownRoutes)
		}
	}
	return fmt.Sprintf("no egress route to %v; %s; tee.egress in the configuration names them", endpoint{e.Host, e.Port}, has)
}

// FullError refuses a connection to a route that has all the connections it may have.
type FullError struct {
	Route string
	Limit int
}

func (e *FullError) Error() string {
	return fmt.Sprintf("egress route %s: all %d connections are taken (parent.egress.max_connections)", e.Route, e.Limit)
}

// route is one line of the table.
type route struct {
	wire.Route
	to    endpoint
	slots chan struct{} // holds one element for each connection that lives or is being dialled
}

// table finds routes; it is never changed once made.
type table struct {
	routes map[endpoint]*route
	order  []*route // as configured
	known  []string // its endpoints, sorted
}

// newTable allows each route so many connections.
func newTable(routes []wire.Route, connections int) (table, error) {
	t := table{routes: make(map[endpoint]*route, len(routes))}
	names, ports := map[string]bool{}, map[uint32]string{}
	for i, r := range routes {
		to := endpoint{host: canonicalHost(r.Host), port: r.Port}
		if err := check(r, to); err != nil {
			return table{}, fmt.Errorf("route %d (%q): %w", i, r.Name, err)
		}
		if names[r.Name] {
			return table{}, fmt.Errorf("route %d: the name %q stands twice", i, r.Name)
		}
		if other, taken := t.routes[to]; taken {
			return table{}, fmt.Errorf("route %q: %v is the endpoint of route %q too", r.Name, to, other.Name)
		}
		if other, taken := ports[r.VsockPort]; taken {
			return table{}, fmt.Errorf("route %q: vsock port %d is of route %q too", r.Name, r.VsockPort, other)
		}
		line := &route{Route: r, to: to, slots: make(chan struct{}, connections)}
		names[r.Name], ports[r.VsockPort], t.routes[to] = true, r.Name, line
		t.order = append(t.order, line)
		t.known = append(t.known, to.String())
	}
	slices.Sort(t.known)
	return t, nil
}

func check(r wire.Route, to endpoint) error {
	switch {
	case r.Name == "":
		return errors.New("no name")
	case to.host == "":
		return errors.New("no host")
	case r.Port == 0:
		return errors.New("no port")
	case r.VsockPort < wire.PortEgressFirst:
		return fmt.Errorf("vsock port %d is below %d", r.VsockPort, wire.PortEgressFirst)
	case r.VsockPort == wire.PortInitHeartbeat:
		return fmt.Errorf("vsock port %d belongs to the enclave's init", r.VsockPort)
	}
	return nil
}
