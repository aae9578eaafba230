package kmstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// maxPolicy is the largest key policy in bytes, https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html.
const maxPolicy = 32 << 10

// parsePolicy reads a key policy. What it does not know it refuses, for a condition that is passed over admits strangers.
func parsePolicy(text []byte) (policy, error) {
	if len(text) > maxPolicy {
		return policy{}, fmt.Errorf("%d bytes, more than %d", len(text), maxPolicy)
	}
	return parseStatements(text, parseStatement, "Version", "Id", "Statement")
}

// parseStatements reads a policy with these members, and each statement with parse.
func parseStatements(text []byte, parse func([]byte) (statement, error), members ...string) (policy, error) {
	top, err := object(text, members...)
	if err != nil {
		return policy{}, err
	}
	version, err := words(top["Version"])
	if err != nil || len(version) != 1 || version[0] != "2012-10-17" && version[0] != "2008-10-17" {
		return policy{}, within("Version", errors.New("want 2012-10-17"))
	}
	list := []json.RawMessage{top["Statement"]}
	if bytes.HasPrefix(bytes.TrimSpace(top["Statement"]), []byte("[")) {
		if err := json.Unmarshal(top["Statement"], &list); err != nil {
			return policy{}, within("Statement", err)
		}
	}
	var p policy
	for i, raw := range list {
		s, err := parse(raw)
		if err != nil {
			return policy{}, within(fmt.Sprintf("Statement[%d]", i), err)
		}
		if s.name == "" {
			s.name = fmt.Sprintf("Statement[%d]", i)
		}
		p.statements = append(p.statements, s)
	}
	if len(p.statements) == 0 {
		return policy{}, within("Statement", errors.New("there is none"))
	}
	return p, nil
}

func parseStatement(raw []byte) (statement, error) {
	fields, err := object(raw, "Sid", "Effect", "Principal", "Action", "Resource", "Condition")
	if err != nil {
		return statement{}, err
	}
	s, err := fields.statement()
	if err != nil {
		return statement{}, err
	}
	if s.principals, err = parsePrincipals(fields["Principal"]); err != nil {
		return statement{}, within("Principal", err)
	}
	for i, a := range s.actions {
		if s.actions[i] = strings.ToLower(a); a != "*" && !strings.HasPrefix(s.actions[i], "kms:") {
			return statement{}, within("Action", fmt.Errorf("%q is not of KMS", a))
		}
	}
	return s, nil
}

// statement is what policies of all kinds have in a statement.
func (fields members) statement() (s statement, err error) {
	if sid, there := fields["Sid"]; there {
		if err := json.Unmarshal(sid, &s.name); err != nil {
			return statement{}, within("Sid", err)
		}
	}
	switch string(fields["Effect"]) {
	case `"Allow"`:
		s.allow = true
	case `"Deny"`:
	default:
		return statement{}, within("Effect", errors.New("want Allow or Deny"))
	}
	if s.actions, err = words(fields["Action"]); err != nil {
		return statement{}, within("Action", err)
	}
	if s.resources, err = words(fields["Resource"]); err != nil {
		return statement{}, within("Resource", err)
	}
	if condition, there := fields["Condition"]; there {
		if s.conditions, err = parseConditions(condition); err != nil {
			return statement{}, within("Condition", err)
		}
	}
	return s, nil
}

var policyPrincipal = regexp.MustCompile(
	`^(\*|\d{12}|arn:aws[a-z-]*:iam::\d{12}:(root|(role|user)/[!-~]+)|arn:aws[a-z-]*:sts::\d{12}:assumed-role/[^/]+/[^/]+)$`)

func parsePrincipals(raw json.RawMessage) ([]string, error) {
	if string(raw) == `"*"` {
		return []string{"*"}, nil
	}
	kinds, err := object(raw, "AWS")
	if err != nil {
		return nil, err
	}
	all, err := words(kinds["AWS"])
	if err != nil {
		return nil, within("AWS", err)
	}
	for _, p := range all {
		if !policyPrincipal.MatchString(p) || p != "*" && strings.ContainsAny(p, "*?") {
			return nil, within("AWS", fmt.Errorf("%q is no account, role, session or user", p))
		}
	}
	return all, nil
}

// members are those of a JSON object.
type members map[string]json.RawMessage

// object reads the members of a JSON object. Each may be there once, and none that is not named; names nil means any.
func object(raw []byte, names ...string) (members, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("want an object")
	}
	all := members{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", token)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		if names != nil && !slices.Contains(names, name) {
			return nil, fmt.Errorf("%q is not known here", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, within(name, err)
		}
		all[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the object")
	}
	return all, nil
}

// words reads a string or a list of them. Policy variables are refused, for they are not replaced here.
func words(raw json.RawMessage) ([]string, error) {
	var list []string
	var one string
	if err := json.Unmarshal(raw, &one); err == nil && string(raw) != "null" {
		list = []string{one}
	} else if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		return nil, errors.New("want a string or a list of strings")
	}
	for _, w := range list {
		if w == "" || strings.Contains(w, "${") {
			return nil, fmt.Errorf("%q: an empty string or a policy variable", w)
		}
	}
	return list, nil
}

// within tells which part of a policy is wrong, by the name that it has there.
func within(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }
