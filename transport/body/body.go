// Package body reads the JSON of a request, for every adapter in one way.
package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// Decode reads the body into v: one JSON object of at most max bytes, with no
// field that v doesn't know, none twice, and nothing after it. Errors:
// problem.CodeUnsupportedMediaType, CodeTooLarge, CodeInvalid with Field where
// a field is to blame.
func Decode(w http.ResponseWriter, r *http.Request, max int64, v any) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return &domain.Error{Code: problem.CodeUnsupportedMediaType, Field: "Content-Type", Message: "the body must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return domain.Errorf(domain.CodeTooLarge, "the body is larger than %d bytes", max)
	case err != nil:
		return domain.Wrap(err, domain.CodeInvalid, "the body did not arrive in full, or not in time")
	case !utf8.Valid(body):
		// encoding/json would replace what isn't, and store what nobody wrote.
		return domain.Errorf(domain.CodeInvalid, "the body is not valid UTF-8")
	case !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")):
		return domain.Errorf(domain.CodeInvalid, "the body must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return domain.Errorf(domain.CodeInvalid, "there is something after the JSON object")
	}
	return checkNames(body, reflect.TypeOf(v))
}

// malformed says in our words what encoding/json found.
func malformed(err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return domain.InvalidField(wrongType.Field, "%s can't be a JSON %s", wrongType.Field, wrongType.Value)
	}
	// The package has no type for this one; its text is stable since Go 1.10.
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field = strings.Trim(field, `"`)
		return domain.InvalidField(field, "unknown field")
	}
	return domain.Wrap(err, domain.CodeInvalid, "the body is not valid JSON")
}
