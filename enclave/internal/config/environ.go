package config

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const environPrefix = "CONTAINMENT_"

// serviceVariable matches what Kubernetes puts into every container for a Service named containment-…, as
// "CONTAINMENT_CHAMBER_PORT_9000_TCP=tcp://10.0.0.1:9000": https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
const serviceVariable = `^CONTAINMENT(_[A-Z0-9]+)+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT=[a-z]+://.*|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)(=|$)`

// readEnviron reads the variables whose name begins with CONTAINMENT_: two underscores stand for the dot, and case does not matter
// after the prefix. A variable that is no key is a problem, except for those of Kubernetes services.
func readEnviron(keys *schema, environ []string, found *report) layer {
	out := make(layer)
	service := regexp.MustCompile(serviceVariable)
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, environPrefix)
		if !ours {
			continue
		}
		keyName := strings.ReplaceAll(strings.ToLower(rest), "__", ".")
		k := keys.byName[keyName]
		switch {
		case k == nil && service.MatchString(variable):
		case k == nil:
			found.unknown("environment "+quote(name), keyName, keys)
		default:
			out.set(*k, "environment "+quote(name), text, found)
		}
	}
	return out
}

// Variable finds a variable of the process's environment, for secrets that a file of the operator's refers to by name.
func Variable(name string) (string, bool) { return os.LookupEnv(name) }

// process is what the process itself was told, outside the configuration.
type process struct {
	production bool // PRODUCTION=true
	debug      bool // ENCLAVE_DEBUG=1
}

// readProcess reads the two switches. A value that is neither on nor off is a problem: a misspelt PRODUCTION must
// not mean a laptop.
func readProcess(environ []string, found *report) process {
	var p process
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		target := map[string]*bool{"PRODUCTION": &p.production, "ENCLAVE_DEBUG": &p.debug}[name]
		if target == nil {
			continue
		}
		switch strings.ToLower(text) {
		case "true", "1":
			*target = true
		case "false", "0", "":
			*target = false
		default:
			found.add("environment "+quote(name), "", "want true or false")
		}
	}
	return p
}

// set reads text into key k. A key that this source sets twice is a problem.
func (l layer) set(k Key, origin, text string, found *report) {
	if earlier, twice := l[k.Name]; twice {
		found.add(origin, k.Name, "set twice, also by %s", earlier.origin)
		return
	}
	v, err := k.parse(text)
	if err != nil {
		found.add(origin, k.Name, "%w", err)
		return
	}
	l[k.Name] = setting{value: v, origin: origin}
}

// RegisterFlags adds one flag for each key that a flag can set: dots and underscores become dashes, as in
// --server-listen-port. A list takes commas, or the flag several times; a switch is on without a value, and off with =false.
func RegisterFlags(flags *pflag.FlagSet) {
	for _, k := range Keys() {
		for _, name := range k.flags() {
			usage := "`" + k.placeholder() + "`: sets " + k.Name
			if k.Default != "" {
				usage += " (default " + k.Default + ")"
			}
			if k.Kind == Texts {
				flags.StringArray(name, nil, usage)
				continue
			}
			flags.String(name, "", usage)
			if k.Kind == Switch { // the flag alone turns it on
				flags.Lookup(name).NoOptDefVal = "true"
			}
		}
	}
}

// readFlags reads the flags that were given.
func readFlags(keys *schema, flags *pflag.FlagSet, found *report) layer {
	out := make(layer)
	if flags == nil {
		return out
	}
	for _, k := range keys.keys {
		for _, name := range k.flags() {
			f := flags.Lookup(name)
			if f == nil || !f.Changed {
				continue
			}
			text := f.Value.String()
			if list, ok := f.Value.(pflag.SliceValue); ok {
				text = strings.Join(list.GetSlice(), ",")
			}
			out.set(k, "flag --"+name, text, found)
		}
	}
	return out
}

func (k Key) flags() []string {
	names := []string{k.Flag(), k.Alias}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// placeholder stands for the value in the help text.
func (k Key) placeholder() string {
	switch {
	case k.Enum != nil:
		return strings.Join(k.Enum, "|")
	case k.Kind == Number:
		return "number"
	case k.Kind == Switch:
		return "true|false"
	case k.Kind == Texts:
		return "list"
	}
	return "text"
}
