package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const canary = "the canary sings at midnight"

type hidden struct{ s secret.Bytes }

type shown struct{ S secret.Bytes }

type embedding struct{ secret.Bytes }

// holders are the places where a secret may sit when somebody prints the thing around it.
func holders() map[string]any {
	s := secret.New([]byte(canary))
	pointer := &s
	return map[string]any{
		"itself":             s,
		"pointer":            pointer,
		"pointer to pointer": &pointer,
		"hidden field":       hidden{s},
		"pointer to hidden":  &hidden{s},
		"shown field":        shown{s},
		"pointer to shown":   &shown{s},
		"embedded":           embedding{s},
		"slice":              []secret.Bytes{s},
		"slice of pointers":  []*secret.Bytes{pointer},
		"array":              [1]hidden{{s}},
		"map value":          map[string]secret.Bytes{"k": s},
		"map of hidden":      map[string]*hidden{"k": {s}},
		"interface":          []any{s, pointer, hidden{s}},
		"error cause":        fmt.Errorf("with %v and %+v", s, hidden{s}),
	}
}

// leaks says whether text holds the canary in a shape that a printer could give it.
func leaks(text string) bool {
	raw := []byte(canary)
	numbers := make([]string, len(raw))
	for i, b := range raw {
		numbers[i] = strconv.Itoa(int(b))
	}
	for _, shape := range []string{
		canary,
		hex.EncodeToString(raw),
		strings.ToUpper(hex.EncodeToString(raw)),
		base64.StdEncoding.EncodeToString(raw)[:32],
		strings.Join(numbers[:8], " "),
		strings.Join(numbers[:8], ","),
		fmt.Sprintf("%#v", raw)[len("[]byte{"):40],
		fmt.Sprintf("%b", raw)[1:40],
		fmt.Sprintf("%o", raw)[1:20],
		fmt.Sprintf("%U", raw)[1:20],
	} {
		if strings.Contains(text, shape) {
			return true
		}
	}
	return false
}

// TestLeaksKnowsEveryShape makes sure that the canary test can fail.
func TestLeaksKnowsEveryShape(t *testing.T) {
	for _, verb := range "vsxXqdbocU" {
		for _, format := range []string{"%" + string(verb), "%+" + string(verb), "%#" + string(verb)} {
			switch format {
			case "%#x", "%#X", "%#q", "%+q", "%q", "%#o", "%#b", "%c", "%+c", "%#c", "%+d", "%+b", "%+o", "%#U":
				continue // spellings of the same bytes that only a format written for the purpose has
			}
			if text := fmt.Sprintf(format, []byte(canary)); !leaks(text) {
				t.Errorf("a bare byte slice printed with %s is not recognised: %s", format, text)
			}
		}
	}
}

func TestNoVerbPrintsTheSecret(t *testing.T) {
	for name, holder := range holders() {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3"} {
				format := "%" + flags + string(verb)
				if text := fmt.Sprintf(format, holder); leaks(text) {
					t.Errorf("%s with %s: %s", name, format, text)
				}
			}
		}
		if text := fmt.Sprint(holder) + fmt.Sprintln(holder); leaks(text) {
			t.Errorf("%s with Print: %s", name, text)
		}
	}
	if got := fmt.Sprintf("%s %v %+v %#v %x", secret.New([]byte(canary)), secret.Bytes{}, &secret.Bytes{}, secret.Bytes{}, secret.Bytes{}); got != strings.TrimSpace(strings.Repeat("[redacted] ", 5)) {
		t.Errorf("a secret prints as %q", got)
	}
}

func TestNoEncoderTakesTheSecret(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"yaml": yaml.Marshal,
		"xml":  xml.Marshal,
		"cbor": cbor.Marshal,
		"gob": func(v any) ([]byte, error) {
			var out bytes.Buffer
			err := gob.NewEncoder(&out).Encode(v)
			return out.Bytes(), err
		},
	}
	for encoder, encode := range encoders {
		for name, holder := range holders() {
			out, err := encode(holder)
			if leaks(string(out)) || err != nil && leaks(err.Error()) {
				t.Errorf("%s of %s: %s, %v", encoder, name, out, err)
			}
		}
		for name, v := range map[string]any{"itself": secret.New([]byte(canary)), "shown field": shown{secret.New([]byte(canary))}} {
			if out, err := encode(v); err == nil {
				t.Errorf("%s of %s gave %q, want an error", encoder, name, out)
			} else if encoder != "xml" && encoder != "gob" && !strings.Contains(err.Error(), secret.ErrNotEncodable.Error()) {
				t.Errorf("%s of %s: %v, want %v", encoder, name, err, secret.ErrNotEncodable)
			}
		}
	}
	if _, err := secret.New(nil).MarshalText(); !errors.Is(err, secret.ErrNotEncodable) {
		t.Errorf("MarshalText: %v", err)
	}
}

func TestNoLoggerPrintsTheSecret(t *testing.T) {
	for name, holder := range holders() {
		var out bytes.Buffer
		for _, encoder := range []zapcore.Encoder{
			zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
			zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		} {
			log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel))
			log.Info("any", zap.Any("holder", holder))
			log.Info("reflect", zap.Reflect("holder", holder))
			log.Sugar().Infof("%s %v %+v %#v", holder, holder, holder, holder)
			log.Sugar().Infow("sugar", "holder", holder)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("slog", "holder", holder)
		}
		if lines := strings.Count(out.String(), "\n"); lines < 10 {
			t.Errorf("%s: %d log lines, want at least 10", name, lines)
		}
		if leaks(out.String()) {
			t.Errorf("%s leaks:\n%s", name, out.String())
		}
	}
}
