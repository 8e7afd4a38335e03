package config

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

// Source says where a value came from.
type Source string

const (
	FromDefault Source = "default"
	FromEnv     Source = "env"
	FromFlag    Source = "flag"
)

// Setting is one line of the configuration in force.
type Setting struct {
	Name   string `json:"name"`  // the environment variable
	Flag   string `json:"flag"`  // without dashes
	Value  string `json:"value"` // secrets masked
	Source Source `json:"source"`
}

// Describe lists every setting of c in the order of its struct, with where it
// came from: k is the parse that filled c, or nil if no flags were parsed.
func Describe(c Config, k *kong.Context) []Setting {
	given := map[string]bool{}
	if k != nil {
		for _, step := range k.Path {
			if step.Flag != nil && !step.Resolved {
				given[step.Flag.Name] = true
			}
		}
	}
	values := reflect.ValueOf(c)
	settings := make([]Setting, 0, values.NumField())
	for _, f := range fields() {
		s := Setting{Name: f.env, Flag: f.flag, Value: f.text(values.Field(f.index)), Source: FromDefault}
		if _, ok := os.LookupEnv(f.env); ok {
			s.Source = FromEnv
		}
		if given[f.flag] {
			s.Source = FromFlag
		}
		settings = append(settings, s)
	}
	return settings
}

// WriteTable prints settings for people.
func WriteTable(w io.Writer, settings []Setting) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tVALUE\tSOURCE")
	for _, s := range settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	return table.Flush()
}

// WriteMarkdown prints the reference, docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`<!-- Generated from package config by "make generate"; edits here are lost. -->

# Configuration

Every setting is an environment variable and a flag of ` + "`orbit serve`" + `. A flag wins
over the environment, which wins over the default. ` + "`orbit config`" + ` prints what is in
force and where it came from. Durations are written ` + "`200ms`, `25s`, `1h30m`" + `; lists are
separated by commas; a switch is turned off with ` + "`--no-…` or `false`" + `.
`)
	group := ""
	for _, f := range fields() {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "\n## %s\n\n| variable | flag | default | allowed | what it does |\n|---|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s | %s |\n", f.env, f.flag, code(f.fallback), f.allowed(), f.help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func code(s string) string {
	if s == "" {
		return "(empty)"
	}
	return "`" + s + "`"
}

// field is what the tags of one field of Config say.
type field struct {
	index     int
	env, flag string
	group     string
	help      string
	fallback  string // the default
	low, high string // of the range, empty without one
	choices   []string
	secret    string // how it is masked: "true" (a database URL, tokens), "url" or "all"
	duration  bool
	boolean   bool
}

// fields reads the tags of Config, in order.
func fields() []field {
	t := reflect.TypeFor[Config]()
	all := make([]field, t.NumField())
	for i := range all {
		tag := t.Field(i).Tag
		f := field{
			index:    i,
			env:      tag.Get("env"),
			group:    tag.Get("group"),
			help:     tag.Get("help"),
			fallback: tag.Get("default"),
			secret:   tag.Get("secret"),
			duration: t.Field(i).Type == reflect.TypeFor[time.Duration](),
			boolean:  t.Field(i).Type.Kind() == reflect.Bool,
		}
		f.flag = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(f.env, "ORBIT_"), "_", "-"))
		f.low, f.high, _ = strings.Cut(tag.Get("range"), "..")
		if choices := tag.Get("choices"); choices != "" {
			f.choices = strings.Split(choices, "|")
		}
		all[i] = f
	}
	return all
}

func byEnv(env string) field {
	for _, f := range fields() {
		if f.env == env {
			return f
		}
	}
	panic("config: no field has " + env)
}

func (f field) allowed() string {
	switch {
	case f.low != "":
		return fmt.Sprintf("%s to %s", f.low, f.high)
	case f.choices != nil:
		return "`" + strings.Join(f.choices, "`, `") + "`"
	case f.boolean:
		return "`true`, `false`"
	}
	return ""
}

// text is a value as an operator would write it; secrets are masked.
func (f field) text(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return short(value)
	case []string:
		if f.secret != "" {
			return maskTokens(value)
		}
		return strings.Join(value, ",")
	case string:
		switch {
		case value == "":
			return ""
		case f.secret == "true":
			return mask(value)
		case f.secret == "users":
			return maskUsers(value)
		case f.secret == "url":
			return maskPath(value)
		case f.secret == "all":
			return "*****"
		}
		return value
	default:
		return fmt.Sprint(value)
	}
}

// short writes 24h0m0s as 24h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// maskPath leaves scheme and host of a URL whose path is the secret.
func maskPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "*****"
	}
	return u.Scheme + "://" + u.Host + "/*****"
}

// passwords finds what libpq takes for one, in a URL's query or in keywords.
var passwords = regexp.MustCompile(`(?i)((?:ssl)?password=)[^&\s]+`)

// mask hides the password of a database URL, wherever it stands.
func mask(dsn string) string {
	if strings.Contains(dsn, "://") {
		u, err := url.Parse(dsn)
		if err != nil {
			return "(not a URL)"
		}
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "*****")
			dsn = strings.Replace(u.String(), "%2A%2A%2A%2A%2A", "*****", 1)
		}
	}
	return passwords.ReplaceAllString(dsn, "${1}*****")
}

// maskUsers hides whatever stands before the host of each URL: for NATS a lone
// user is a token.
func maskUsers(list string) string {
	urls := strings.Split(list, ",")
	for i, text := range urls {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil:
			urls[i] = "(not a URL)"
		case u.User != nil:
			u.User = url.User("*****")
			urls[i] = strings.Replace(u.String(), "%2A%2A%2A%2A%2A", "*****", 1)
		}
	}
	return strings.Join(urls, ",")
}
