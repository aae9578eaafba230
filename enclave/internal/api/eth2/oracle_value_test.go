package eth2

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// The values that generated requests are made of. Objects keep the order of their fields.
type (
	uintValue   uint64
	bytesValue  []byte
	boolValue   bool
	textValue   string // needs no escape; also numbers of more than 64 bits
	listValue   []any
	objectValue []fieldValue
	fieldValue  struct {
		name  string
		value any
	}
)

// canonical is a value as the beacon API writes it.
func canonical(v any) []byte {
	var s speller
	s.write(v)
	return s.out
}

// spelled is a value as some client might write it: what has several spellings gets one of them.
func spelled(r *rand.Rand, v any) []byte {
	s := speller{r: r, spaced: r.IntN(8) == 0}
	s.write(v)
	return s.out
}

type speller struct {
	r      *rand.Rand // nil for the canonical spelling
	spaced bool
	out    []byte
}

// oneIn is true once in n times, and never for the canonical spelling.
func (s *speller) oneIn(n int) bool { return s.r != nil && s.r.IntN(n) == 0 }

// space follows a token.
func (s *speller) space() {
	if s.spaced {
		s.out = append(s.out, " \t\r\n"[:s.r.IntN(5)]...)
	}
}

func (s *speller) token(text string) {
	s.out = append(s.out, text...)
	s.space()
}

func (s *speller) write(v any) {
	switch v := v.(type) {
	case uintValue:
		text := strconv.FormatUint(uint64(v), 10)
		if !s.oneIn(4) {
			text = `"` + text + `"`
		}
		s.token(text)
	case bytesValue:
		digits := hex.EncodeToString(v)
		if s.oneIn(8) {
			digits = strings.ToUpper(digits)
		}
		s.token(`"0x` + digits + `"`)
	case boolValue:
		s.token(strconv.FormatBool(bool(v)))
	case textValue:
		s.token(`"` + string(v) + `"`)
	case listValue:
		s.list(v)
	case objectValue:
		s.object(v)
	default:
		panic("a generated value is of no type that can be written")
	}
}

func (s *speller) list(l listValue) {
	s.token("[")
	for i, v := range l {
		if i > 0 {
			s.token(",")
		}
		s.write(v)
	}
	s.token("]")
}

func (s *speller) object(o objectValue) {
	if s.oneIn(8) { // a newer client's field, which must be ignored
		o = append(slices.Clone(o), fieldValue{"not_known", listValue{objectValue{{"slot", uintValue(1)}}, boolValue(true)}})
	}
	if s.oneIn(4) {
		o = slices.Clone(o)
		s.r.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
	}
	s.token("{")
	for i, f := range o {
		if i > 0 {
			s.token(",")
		}
		s.token(`"` + f.name + `"`)
		s.token(":")
		s.write(f.value)
	}
	s.token("}")
}
