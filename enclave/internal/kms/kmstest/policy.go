package kmstest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// policy is a key policy.
type policy struct{ statements []statement }

type statement struct {
	name       string // its Sid, or its place
	allow      bool
	principals []string
	actions    []string // lower case
	resources  []string
	conditions []condition
}

// request is what a policy judges.
type request struct {
	caller  caller
	action  string              // such as kms:Decrypt
	key     string              // ARN
	context map[string][]string // by condition key, lower case
}

// newRequest gathers what conditions may ask for. Without a document there are no registers.
func newRequest(who caller, action, keyARN string, encryption map[string]string, doc *attestation.Document) request {
	r := request{caller: who, action: action, key: keyARN, context: map[string][]string{
		keyPrincipalARN: {who.principal.arn}, keyPrincipalAccount: {who.account}, keySecureTransport: {"true"},
	}}
	for name, value := range encryption {
		lower := keyContext + strings.ToLower(name)
		r.context[lower] = append(r.context[lower], value)
		r.context[keyContextKeys] = append(r.context[keyContextKeys], name)
	}
	if doc == nil {
		return r
	}
	for index, value := range doc.PCRs {
		r.context[fmt.Sprintf("%spcr%d", keyAttestation, index)] = []string{value.String()}
		if index == 0 {
			r.context[keyImage] = []string{value.String()}
		}
	}
	return r
}

// decision is what a policy says, with the statement that says it, or what each that might have was missing.
type decision struct {
	allowed  bool
	explicit bool // a Deny
	reason   string
}

// decide follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: a Deny counts before any
// Allow, and without either the answer is no.
func (p policy) decide(r request) decision {
	var missed []string
	for _, allow := range []bool{false, true} {
		for _, s := range p.statements {
			if s.allow != allow || !s.covers(r) {
				continue
			}
			named, delegated := s.concerns(r.caller)
			if !named && !delegated {
				continue
			}
			if i := slices.IndexFunc(s.conditions, func(c condition) bool { return !c.holds(r.context) }); i >= 0 {
				if allow {
					missed = append(missed, s.name+": "+s.conditions[i].miss(r.context))
				}
				continue
			}
			switch {
			case !allow:
				return decision{explicit: true, reason: s.name}
			case named:
				return decision{allowed: true, reason: s.name}
			case r.caller.identity(r).allowed:
				return decision{allowed: true, reason: s.name + " and an identity policy"}
			}
			missed = append(missed, s.name+": it leaves that to identity policies, and the caller's allow nothing")
		}
	}
	if missed == nil {
		return decision{reason: "no statement is about this principal and action"}
	}
	return decision{reason: strings.Join(missed, "; ")}
}

// covers tells whether the statement is about this action on this key. In a key policy * is the key itself.
func (s statement) covers(r request) bool {
	action := strings.ToLower(r.action)
	return slices.ContainsFunc(s.actions, func(a string) bool { return matches(a, action) }) &&
		slices.ContainsFunc(s.resources, func(a string) bool { return matches(a, r.key) })
}

// concerns tells whether the statement names the caller, as role, session, user or everybody, or the caller's account, which
// delegates an Allow to identity policies.
func (s statement) concerns(who caller) (named, delegated bool) {
	for _, p := range s.principals {
		switch p {
		case "*", who.arn, who.principal.arn:
			named = true
		case who.account, fmt.Sprintf("arn:%s:iam::%s:root", who.partition, who.account):
			delegated = true
		}
	}
	return named, delegated
}
