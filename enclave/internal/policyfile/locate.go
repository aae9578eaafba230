package policyfile

import (
	"sort"

	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// locate adds the line to what is wrong with a policy: that of the first field beside the sets which makes it no policy, else that of
// the first such set. The error is about that one too, where whole, the error of all, may be about another.
func (c converter) locate(root *yaml.Node, whole error) error {
	if root.Kind != yaml.MappingNode {
		return c.fail(root, "%w", whole)
	}
	sets := &yaml.Node{Kind: yaml.SequenceNode}
	beside := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Value == "sets" {
			if sets = value; sets.Kind != yaml.SequenceNode {
				return c.fail(key, "%w", whole)
			}
			continue
		}
		beside.Content = append(beside.Content, key, value)
		if err := c.check(beside, harmless()); err != nil {
			return c.fail(key, "%w", err)
		}
	}
	first := sort.Search(len(sets.Content), func(i int) bool {
		return c.check(beside, &yaml.Node{Kind: yaml.SequenceNode, Content: sets.Content[:i+1]}) != nil
	})
	if first == len(sets.Content) {
		return c.fail(root, "%w", whole)
	}
	return c.fail(sets.Content[first], "%w", c.check(beside, &yaml.Node{Kind: yaml.SequenceNode, Content: sets.Content[:first+1]}))
}

// check tells whether fields and sets make a policy.
func (c converter) check(beside, sets *yaml.Node) error {
	converted, err := c.value(&yaml.Node{Kind: yaml.MappingNode, Content: append([]*yaml.Node{text("sets"), sets}, beside.Content...)}, 0)
	if err == nil {
		_, err = attestation.ParsePolicy(converted)
	}
	return err
}

// harmless are sets that are in order.
func harmless() *yaml.Node {
	pcrs := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("PCR0"), text(attestation.PCR{1}.String())}}
	set := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("pcrs"), pcrs}}
	return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{set}}
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}
