package body_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/body"
	"github.com/orbit/realtime/transport/problem"
)

type common struct {
	Reason string `json:"reason"`
}

type input struct {
	common
	Name   string            `json:"name"`
	Seats  *int              `json:"seats,omitempty"`
	Bare   bool              // "Bare" in JSON
	Inner  *struct{ A int }  `json:"inner"`
	List   []struct{ B int } `json:"list"`
	Free   json.RawMessage   `json:"free"`
	Labels map[string]string `json:"labels"`
	Hidden string            `json:"-"`
}

func decode(raw string) (input, error) {
	var in input
	r := httptest.NewRequest("POST", "/", strings.NewReader(raw))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	err := body.Decode(httptest.NewRecorder(), r, 1000, &in)
	return in, err
}

func TestDecode(t *testing.T) {
	in, err := decode(` {"reason":"r","name":"n","seats":3,"Bare":true,"inner":{"A":1},"list":[{"B":1},{"B":2}],"free":{"A":1,"a":2},"labels":{"X":"1","x":"2"}} `)
	require.NoError(t, err)
	require.Equal(t, "r", in.Reason)
	require.Equal(t, 2, in.List[1].B)
	require.Equal(t, "2", in.Labels["x"])
	_, err = decode(`{"inner":null,"list":null,"seats":null,"free":[[{}],"x",null,1e3,true]}`)
	require.NoError(t, err)
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		raw   string
		code  domain.Code
		field string
	}{
		"nothing":                    {``, domain.CodeInvalid, ""},
		"a list":                     {`[]`, domain.CodeInvalid, ""},
		"null":                       {`null`, domain.CodeInvalid, ""},
		"half":                       {`{"name":"x"`, domain.CodeInvalid, ""},
		"two":                        {`{"name":"x"}{"name":"y"}`, domain.CodeInvalid, ""},
		"not UTF-8":                  {"{\"name\":\"\xff\"}", domain.CodeInvalid, ""},
		"too large":                  {`{"name":"` + strings.Repeat("x", 1000) + `"}`, domain.CodeTooLarge, ""},
		"another type":               {`{"name":1}`, domain.CodeInvalid, "name"},
		"an unknown field":           {`{"nom":"x"}`, domain.CodeInvalid, "nom"},
		"a hidden field":             {`{"Hidden":"x"}`, domain.CodeInvalid, "Hidden"},
		"a field twice":              {`{"name":"x","name":"y"}`, domain.CodeInvalid, "name"},
		"a field twice, escaped":     {`{"name":"x","n\u0061me":"y"}`, domain.CodeInvalid, "name"},
		"a field twice within":       {`{"inner":{"A":1,"A":2}}`, domain.CodeInvalid, "A"},
		"a field twice in a list":    {`{"list":[{"B":1},{"B":1,"B":2}]}`, domain.CodeInvalid, "B"},
		"a field twice where free":   {`{"free":{"a":[{"b":1,"b":1}]}}`, domain.CodeInvalid, "b"},
		"a label twice":              {`{"labels":{"x":"1","x":"2"}}`, domain.CodeInvalid, "x"},
		"in capitals":                {`{"NAME":"x"}`, domain.CodeInvalid, "NAME"},
		"in capitals and not":        {`{"name":"x","Name":"y"}`, domain.CodeInvalid, "Name"},
		"in lower case":              {`{"bare":true}`, domain.CodeInvalid, "bare"},
		"with a letter that folds":   {`{"ſeats":1}`, domain.CodeInvalid, "ſeats"}, // U+017F is an s to encoding/json
		"an embedded one, elsewhere": {`{"common":{"reason":"x"}}`, domain.CodeInvalid, "common"},
		"in lower case, within":      {`{"inner":{"a":1}}`, domain.CodeInvalid, "a"},
		"in lower case, in a list":   {`{"list":[{"b":1}]}`, domain.CodeInvalid, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(tc.raw)
			var coded *domain.Error
			require.ErrorAs(t, err, &coded)
			require.Equal(t, tc.code, coded.Code)
			require.Equal(t, tc.field, coded.Field)
		})
	}

	r := httptest.NewRequest("POST", "/", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "text/plain") // what a form of another site can send
	err := body.Decode(httptest.NewRecorder(), r, 1000, &input{})
	require.Equal(t, problem.CodeUnsupportedMediaType, domain.CodeOf(err))
}

// Whatever is in it, the answer is coded; what is accepted says each thing once.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"name":"x"}`, `{"name":"x","name":"y"}`, `{"list":[{"B":1}]}`, `{"free":{"":{"":1}}}`, `{"ſeats":1}`, `{"labels":{"a":"b"}}`, `{"a":1e999}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := decode(raw)
		if err != nil {
			var coded *domain.Error
			require.ErrorAs(t, err, &coded)
			return
		}
		again, err := json.Marshal(in)
		require.NoError(t, err)
		_, err = decode(strings.Replace(string(again), "{", `{"reason":"",`, 1))
		require.Error(t, err, "twice")
	})
}
