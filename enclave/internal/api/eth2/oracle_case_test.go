package eth2

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// oracleGroup is the requests of one type while the chain is in one fork.
type oracleGroup struct {
	kind oracleKind
	fork int
	full bool // blocks whose body the oracle has; requests only have its root
}

// oracleGroups are all types in all forks that have them. Types whose domain is that of genesis have one group.
func oracleGroups() []oracleGroup {
	var groups []oracleGroup
	for _, k := range oracleKinds() {
		last := gloas
		if k.epochs == 0 {
			last = k.first
		}
		for fork := k.first; fork <= last; fork++ {
			groups = append(groups, oracleGroup{kind: k, fork: fork})
			if k.name == "BLOCK_V2" {
				groups = append(groups, oracleGroup{kind: k, fork: fork, full: true})
			}
		}
	}
	return groups
}

// name is the type and the fork, and body for full blocks.
func (g oracleGroup) name() string {
	name := g.kind.name + " " + clientForks()[g.fork].name
	if g.full {
		name += " body"
	}
	return name
}

func (g oracleGroup) sizes() []int {
	if g.kind.sizes == nil {
		return nil
	}
	return g.kind.sizes(g.fork)
}

// oracleCase is one generated request, before it is spelled.
type oracleCase struct {
	group  oracleGroup
	id     string
	at     moment
	seed   string // of the block's body, "" for none
	object objectValue
	draw   draw // what the object has left of it, for the spelling
}

// generate makes request number index of the group. It depends on nothing else.
func (g oracleGroup) generate(seed uint64, index int) *oracleCase {
	d := newDraw(g.name(), seed, index)
	at := g.moment(d, index)
	c := &oracleCase{group: g, at: at, id: fmt.Sprint(index), object: g.kind.object(d, at), draw: d}
	if g.full {
		c.seed = fmt.Sprint(seed, " ", index)
	}
	return c
}

// moment goes in turn through the first epoch of the fork, the second, random ones, and the last before the fork, when
// the fork before is the one in force.
func (g oracleGroup) moment(d draw, index int) moment {
	forks := clientForks()
	at := moment{state: g.fork, message: g.fork, index: index, size: -1}
	if sizes := g.sizes(); index < len(sizes) {
		at.size = sizes[index]
	}
	start := forks[g.fork].epoch
	switch {
	case g.kind.epochs == 0:
	case index%4 == 0:
		at.epoch = start
	case index%4 == 1:
		at.epoch = start + 1
	case g.fork == gloas && (index%16 == 3 || g.kind.first == gloas && index%8 == 3):
		at.state = later // while the message is of the last epoch before
		at.epoch = forks[later].epoch - 1
	case index%8 == 3 && g.fork > g.kind.first && at.size < 0 && !g.full:
		at.message--
		at.epoch = start - 1 - d.upTo(start-1-forks[at.message].epoch)
	default:
		most := g.kind.epochs
		if g.full { // lodestar has no block with a slot of 64 bits
			most = safeSlotEpochs
		}
		at.epoch = start + d.upTo(most-start)
	}
	return at
}

// line is what the oracle is asked: what is signed, and the fork that the chain is in.
func (c *oracleCase) line() []byte {
	question := objectValue{
		{"id", textValue(c.id)},
		{"type", textValue(c.group.kind.name)},
		{"fork", textValue(clientForks()[c.at.state].name)},
		{"object", c.object},
	}
	if c.seed != "" {
		question = append(question, fieldValue{"seed", textValue(c.seed)})
	}
	return append(canonical(question), '\n')
}

// body is the request as some client would send it, without a signing root. bodyRoot is the oracle's, for a block
// whose body it has.
func (c *oracleCase) body(bodyRoot []byte) []byte {
	object := c.object
	if c.group.full {
		object = append(object[:len(object)-1:len(object)-1], fieldValue{"body_root", bytesValue(bodyRoot)})
	}
	name, payload := c.payload(object)
	switch c.draw.IntN(16) {
	case 0:
		name = strings.ToLower(name)
	case 1:
		name = name[:1] + strings.ToLower(name[1:])
	}
	request := objectValue{{"type", textValue(name)}}
	switch {
	case c.group.kind.epochs == 0:
	case c.group.kind.name == "VOLUNTARY_EXIT":
		request = append(request, fieldValue{"fork_info", sentExitForkInfo(c.draw, c.at)})
	default:
		request = append(request, fieldValue{"fork_info", sentForkInfo(c.draw, c.at)})
	}
	return spelled(c.draw.Rand, append(request, payload))
}

// payload is the type's name and the field with what is signed, in one of the shapes that clients send.
func (c *oracleCase) payload(object objectValue) (string, fieldValue) {
	name, d := c.group.kind.name, c.draw
	version := textValue(strings.ToUpper(clientForks()[c.at.message].name))
	wrapped := objectValue{{"version", version}, {"data", object}}
	var value any = object
	switch {
	case name == "BLOCK_V2":
		if d.IntN(4) == 0 {
			version = textValue(strings.ToLower(string(version)))
		}
		return name, fieldValue{"beacon_block", objectValue{{"version", version}, {"block_header", object}}}
	case name == "SYNC_COMMITTEE_SELECTION_PROOF":
		return name, fieldValue{"sync_aggregator_selection_data", object}
	case name == "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF":
		return name, fieldValue{"contribution_and_proof", object}
	case name == "AGGREGATE_AND_PROOF":
		if d.IntN(2) == 0 {
			value = wrapped
		}
		return name + []string{"", "_V2"}[d.IntN(2)], fieldValue{"aggregate_and_proof", value}
	case name == "PAYLOAD_ATTESTATION_MESSAGE" && d.IntN(3) == 0: // Lighthouse's names
		return "PAYLOAD_ATTESTATION", fieldValue{"payload_attestation_data", object}
	case name == "BUILDER_REQUEST_AUTH" && d.IntN(3) == 0:
		return "REQUEST_AUTH", fieldValue{"request_auth", object}
	case c.group.kind.first == gloas && d.IntN(2) == 0:
		value = wrapped
	}
	return name, fieldValue{strings.ToLower(name), value}
}

// withRoot adds a signing root to a body.
func withRoot(body, root []byte) []byte {
	name := "signingRoot"
	if root[0]%4 == 0 {
		name = "signing_root"
	}
	return append([]byte(`{"`+name+`":"0x`+hex.EncodeToString(root)+`",`), body[1:]...)
}
