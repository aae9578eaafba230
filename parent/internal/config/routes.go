package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const routesKey = "tee.egress"

// portACME is the enclave's listener for ACME HTTP-01.
const portACME = 9081

var routeFields = []string{"name", "host", "port", "vsock_port", "plain"} //nolint:gochecknoglobals // constant; Go has no constant lists

// routes reads the route table. It is the same rule as the enclave's: either side refuses what the other would.
func (r *reader) routes() []wire.Route {
	r.known = append(r.known, routesKey)
	v := r.find(routesKey)
	if v == nil {
		return nil
	}
	list, ok := v.(*yaml.Node)
	if !ok || list.Kind != yaml.SequenceNode {
		r.add(routesKey, "want a list of entries with name, host, port, vsock_port")
		return nil
	}
	var routes []wire.Route
	for i, item := range list.Content {
		entry := entry{reader: r, label: fmt.Sprintf("%s[%d]", routesKey, i)}
		if route, ok := entry.read(item); ok {
			if fault := entry.fault(route, routes); fault != "" {
				r.addAt(r.at(item), entry.label, "%s", fault)
			}
			routes = append(routes, route)
		}
	}
	return routes
}

// entry is one route on its way out of YAML.
type entry struct {
	*reader
	label string // "tee.egress[1]", with its name once that is known
}

func (e *entry) read(item *yaml.Node) (wire.Route, bool) {
	if item.Kind != yaml.MappingNode {
		e.addAt(e.at(item), e.label, "want an entry with name, host, port, vsock_port")
		return wire.Route{}, false
	}
	fields := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(item.Content); i += 2 {
		key, value := item.Content[i], item.Content[i+1]
		switch {
		case key.Value == "name" && routeName.MatchString(value.Value):
			e.label += " (" + value.Value + ")"
		case !slices.Contains(routeFields, key.Value):
			e.addAt(e.at(key), e.label+"."+key.Value, "unknown key, nearest known: %s", nearest(key.Value, routeFields))
		}
		if fields[key.Value] != nil {
			e.addAt(e.at(key), e.label+"."+key.Value, "set twice")
		}
		fields[key.Value] = value
	}
	problems := len(e.problems)
	route := wire.Route{
		Name:      e.text(item, fields, "name"),
		Host:      e.text(item, fields, "host"),
		Port:      uint16(e.port(item, fields, "port", 1, 65535)),
		VsockPort: uint32(e.port(item, fields, "vsock_port", int64(wire.PortEgressFirst), 1<<32-2)),
		Plain:     e.plain(item, fields),
	}
	return route, len(e.problems) == problems
}

func (e *entry) field(item *yaml.Node, fields map[string]*yaml.Node, name string) string {
	value := fields[name]
	switch {
	case value == nil:
		e.addAt(e.at(item), e.label, "has no %s", name)
	case value.Kind != yaml.ScalarNode || isNull(value):
		e.addAt(e.at(value), e.label+"."+name, "want text")
	default:
		return value.Value
	}
	return ""
}

// text is a field that the enclave takes as text alone: 12 in quotes, not 12.
func (e *entry) text(item *yaml.Node, fields map[string]*yaml.Node, name string) string {
	problems := len(e.problems)
	text := e.field(item, fields, name)
	if len(e.problems) == problems && fields[name].ShortTag() != "!!str" {
		e.addAt(e.at(fields[name]), e.label+"."+name, "want text, put it in quotes")
	}
	return text
}

// plain is false unless it is set.
func (e *entry) plain(item *yaml.Node, fields map[string]*yaml.Node) bool {
	const name = "plain"
	if fields[name] == nil {
		return false
	}
	text := e.field(item, fields, name)
	if text != "true" && text != "false" && text != "" || fields[name].ShortTag() != "!!bool" {
		e.addAt(e.at(fields[name]), e.label+"."+name, "want true or false")
	}
	return text == "true"
}

func (e *entry) port(item *yaml.Node, fields map[string]*yaml.Node, name string, least, most int64) int64 {
	problems := len(e.problems)
	text := e.field(item, fields, name)
	if len(e.problems) > problems {
		return 0
	}
	n, err := parseNumber(text, least, most)
	if err != nil {
		e.addAt(e.at(fields[name]), e.label+"."+name, "%w", err)
	}
	return n
}

var (
	routeName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	dnsName   = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// fault finds what is wrong with a route behind those before it.
func (e *entry) fault(route wire.Route, before []wire.Route) string {
	if !routeName.MatchString(route.Name) {
		return "name: want 1 to 63 lower case letters, digits and dashes"
	}
	if _, err := netip.ParseAddr(route.Host); err != nil && (len(route.Host) > 253 || !dnsName.MatchString(route.Host)) {
		return "host: want a DNS name in lower case or an IP address"
	}
	switch route.VsockPort {
	case wire.PortInitHeartbeat, wire.PortHealth, portACME, wire.PortAPI:
		return "vsock_port: " + strconv.FormatUint(uint64(route.VsockPort), 10) + " belongs to one of the enclave's own listeners or to the stock init"
	}
	for _, other := range before {
		switch {
		case other.Name == route.Name:
			return "name: is taken by an earlier entry"
		case other.VsockPort == route.VsockPort:
			return "vsock_port: " + strconv.FormatUint(uint64(route.VsockPort), 10) + " is taken by " + other.Name
		case other.Host == route.Host && other.Port == route.Port:
			return "host: " + route.Host + " with this port is taken by " + other.Name
		}
	}
	return ""
}
