package kmstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// condition is one key of one operator, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
type condition struct {
	name string // as it is written, operator and key
	key  string // lower case
	set  string // ForAllValues, ForAnyValue or empty

	operator
	ifExists bool
	values   []string
}

// operator compares one value of the request with one of the policy.
type operator struct {
	negated bool
	fold    bool // without regard to case
	like    bool // * and ? stand for others
	null    bool // asks for presence alone
	atLeast bool // as numbers, the request's no less than the policy's
}

//nolint:gochecknoglobals // constant
var operators = map[string]operator{
	"StringEquals":              {},
	"StringNotEquals":           {negated: true},
	"StringEqualsIgnoreCase":    {fold: true},
	"StringNotEqualsIgnoreCase": {negated: true, fold: true},
	"StringLike":                {like: true},
	"StringNotLike":             {negated: true, like: true},
	"Bool":                      {fold: true},
	"Null":                      {null: true},
	"NumericGreaterThanEquals":  {atLeast: true},
}

const (
	keyPrincipalARN     = "aws:principalarn"
	keyPrincipalAccount = "aws:principalaccount"
	keySecureTransport  = "aws:securetransport"
	keyContext          = "kms:encryptioncontext:"
	keyContextKeys      = "kms:encryptioncontextkeys"
	keyAttestation      = "kms:recipientattestation:"
	keyImage            = keyAttestation + "imagesha384"
	keyDeletionWindow   = "kms:schedulekeydeletionpendingwindowindays"
)

// known condition keys, in lower case: their names have no case. The registers of a NitroTPM are others. No request has kms:ViaService: no service
// makes one here in the name of somebody else.
var known = regexp.MustCompile(
	`^(aws:principalarn|aws:principalaccount|aws:securetransport|kms:viaservice|kms:encryptioncontext:.+|kms:encryptioncontextkeys|` +
		`kms:schedulekeydeletionpendingwindowindays|` +
		`kms:recipientattestation:(imagesha384|pcr(\d|[12]\d|3[01])))$`)

func parseConditions(raw json.RawMessage) ([]condition, error) {
	blocks, err := object(raw)
	if err != nil {
		return nil, err
	}
	var all []condition
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		keys, err := object(blocks[name])
		if err != nil {
			return nil, within(name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			c, err := parseCondition(name, key, keys[key])
			if err != nil {
				return nil, within(name+": "+key, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func parseCondition(name, key string, raw json.RawMessage) (condition, error) {
	c := condition{name: name + " " + key, key: strings.ToLower(key)}
	bare := name
	if set, rest, ok := strings.Cut(name, ":"); ok && (set == "ForAllValues" || set == "ForAnyValue") {
		c.set, bare = set, rest
	}
	bare, c.ifExists = strings.CutSuffix(bare, "IfExists")
	op, there := operators[bare]
	switch {
	case !there || op.null && c.ifExists:
		return condition{}, errors.New("the operator is not known here")
	case !known.MatchString(c.key):
		return condition{}, errors.New("the condition key is not known here")
	case (c.key == keyContextKeys) != (c.set != "") && !op.null:
		return condition{}, errors.New("ForAllValues and ForAnyValue are for a key with many values, as " + keyContextKeys + ", and for it alone")
	case ((bare == "Bool") != (c.key == keySecureTransport) || op.atLeast != (c.key == keyDeletionWindow)) && !op.null:
		return condition{}, errors.New("the operator is not for values of this key")
	}
	c.operator = op
	var truth bool
	if err := json.Unmarshal(raw, &truth); err == nil && string(raw) != "null" {
		c.values = []string{fmt.Sprint(truth)}
	} else if c.values, err = words(raw); err != nil {
		return condition{}, err
	}
	for i, v := range c.values {
		if _, err := strconv.Atoi(v); op.atLeast && err != nil {
			return condition{}, fmt.Errorf("%q is no number", v)
		}
		if !op.null && bare != "Bool" {
			continue
		}
		if c.values[i] = strings.ToLower(v); c.values[i] != "true" && c.values[i] != "false" {
			return condition{}, fmt.Errorf("%q is neither true nor false", v)
		}
	}
	return c, nil
}

// holds tells whether the condition is met by what the request has.
func (c condition) holds(context map[string][]string) bool {
	got, there := context[c.key]
	switch {
	case c.null:
		return slices.Contains(c.values, fmt.Sprint(!there))
	case !there && c.ifExists:
		return true
	case !there && c.set != "":
		return c.set == "ForAllValues"
	case !there:
		return c.negated // what is absent equals nothing
	case c.set == "ForAllValues":
		return !slices.ContainsFunc(got, func(v string) bool { return c.equals(v) == c.negated })
	case c.set == "ForAnyValue":
		return slices.ContainsFunc(got, func(v string) bool { return c.equals(v) != c.negated })
	}
	return slices.ContainsFunc(got, c.equals) != c.negated
}

// equals tells whether a value is one of the policy's.
func (c condition) equals(got string) bool {
	return slices.ContainsFunc(c.values, func(want string) bool {
		switch {
		case c.like:
			return matches(want, got)
		case c.fold:
			return strings.EqualFold(want, got)
		case c.atLeast:
			return atLeast(got, want)
		}
		return want == got
	})
}

// atLeast compares integers. What is none is less than all.
func atLeast(got, want string) bool {
	g, err := strconv.Atoi(got)
	w, failed := strconv.Atoi(want)
	return err == nil && failed == nil && g >= w
}

// miss tells what the request has in place of what is wanted.
func (c condition) miss(context map[string][]string) string {
	got, there := context[c.key]
	if !there {
		return c.name + ": the request has none"
	}
	return fmt.Sprintf("%s: the request has %s", c.name, strings.Join(got, ", "))
}

// matches compares with a pattern in which * is any text and ? any character.
func matches(pattern, text string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern == text
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\?`, `.`)
	return regexp.MustCompile(`(?s)^` + quoted + `$`).MatchString(text)
}
