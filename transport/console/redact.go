package console

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// maskedText stands for what a viewer doesn't see.
const maskedText = "•••"

// plainKey is a field's name; any other key may itself be somebody's data.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)

// redactJSON keeps the structure of a document, and of its values the kind
// alone. What isn't JSON is masked as a whole.
func redactJSON(raw []byte) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return json.RawMessage(`"` + maskedText + `"`)
	}
	masked, err := json.Marshal(redactValue(v))
	if err != nil {
		panic(err) // it was JSON
	}
	return masked
}

func redactValue(v any) any {
	switch value := v.(type) {
	case map[string]any:
		masked := make(map[string]any, len(value))
		for key, field := range value {
			if !plainKey.MatchString(key) {
				key = maskedText
			}
			masked[key] = redactValue(field)
		}
		return masked
	case []any:
		masked := make([]any, len(value))
		for i, element := range value {
			masked[i] = redactValue(element)
		}
		return masked
	case nil:
		return nil
	case bool:
		return "(true or false)"
	case json.Number:
		return "(number)"
	default:
		return "(text)"
	}
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']{2,}'|` + "`[^`]*`")
	mailLike = regexp.MustCompile(`[^\s"'<>(),;:]+@[^\s"'<>(),;:]+`)
)

// redactor masks what an error's text repeats of its event: quoted text,
// addresses, and every value of the payload and metadata.
type redactor struct{ values []string }

func newRedactor(ev domain.Event) redactor {
	var r redactor
	var v any
	d := json.NewDecoder(bytes.NewReader(ev.Payload))
	d.UseNumber()
	if d.Decode(&v) != nil {
		v = string(ev.Payload) // not JSON: one text
	}
	r.collect(v)
	for key, value := range ev.Metadata {
		if !openMetadata[key] {
			r.collect(value)
		}
	}
	// The longest first: one value may be part of another.
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
	return r
}

func (r *redactor) collect(v any) {
	switch value := v.(type) {
	case map[string]any:
		for _, field := range value {
			r.collect(field)
		}
	case []any:
		for _, element := range value {
			r.collect(element)
		}
	case json.Number:
		if len(value) >= 5 { // of a shorter one every error is full
			r.collect(value.String())
		}
	case string:
		if len(value) >= 3 && !slices.Contains(r.values, value) && len(r.values) < 1000 {
			r.values = append(r.values, value)
		}
	}
}

func (r redactor) text(s string) string {
	s = valid(s)
	for _, value := range r.values {
		s = strings.ReplaceAll(s, value, maskedText)
	}
	return mailLike.ReplaceAllString(quoted.ReplaceAllString(s, maskedText), maskedText)
}

// openMetadata is what of an event's metadata isn't a tenant's.
var openMetadata = map[string]bool{
	domain.MetaCorrelationID: true, domain.MetaCausationID: true, domain.MetaTraceparent: true,
}

func redactMetadata(metadata map[string]string) map[string]string {
	masked := make(map[string]string, len(metadata))
	for key, value := range metadata {
		if !openMetadata[key] {
			value = maskedText
		}
		if !plainKey.MatchString(key) {
			key = maskedText
		}
		masked[key] = value
	}
	return masked
}
