package domain

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of input, in runes where nothing else is said.
const (
	MaxNameLength  = 80
	MaxTitleLength = 120
	MaxBodyLength  = 4000
	MaxPlanLength  = 40
	MaxEmailLength = 254 // bytes; RFC 5321, section 4.5.3.1.3, less the angle brackets
	MaxSeats       = 10_000
	MaxPage        = 200 // messages a page
)

var slugPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidSlug reports whether s could be a workspace's slug: 1 to 40 lower-case
// letters, digits and dashes, with no dash at either end.
func ValidSlug(s string) bool { return slugPattern.MatchString(s) }

// line checks a text of one line, and trims it.
func line(field, s string, max int) (string, error) {
	if !utf8.ValidString(s) {
		return "", InvalidField(field, "%s is not valid UTF-8", field)
	}
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < 1 || n > max {
		return "", InvalidField(field, "%s takes 1 to %d characters", field, max)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", InvalidField(field, "%s must not contain control characters", field)
	}
	return s, nil
}

func cleanName(s string) (string, error) { return line("name", s, MaxNameLength) }

// cleanBody checks a text of several lines. It stays as it was typed.
func cleanBody(s string) (string, error) {
	const field = "body"
	if !utf8.ValidString(s) {
		return "", InvalidField(field, "body is not valid UTF-8")
	}
	if strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > MaxBodyLength {
		return "", InvalidField(field, "body takes 1 to %d characters", MaxBodyLength)
	}
	// PostgreSQL can't store U+0000, and the others have no place in a text.
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) {
		return "", InvalidField(field, "body must not contain control characters other than tab and line break")
	}
	return s, nil
}

// cleanEmail checks an address's form, not that somebody reads it.
func cleanEmail(s string) (string, error) {
	s, err := line("email", s, MaxEmailLength)
	if err != nil {
		return "", err
	}
	s = strings.ToLower(s)
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > MaxEmailLength {
		return "", InvalidField("email", "that is not an e-mail address")
	}
	return s, nil
}

func cleanSlug(s string) (string, error) {
	if !ValidSlug(s) {
		return "", InvalidField("slug", "a slug is 1 to 40 lower-case letters, digits and dashes, with no dash at either end")
	}
	return s, nil
}

func cleanPlan(s string) (string, error) { return line("plan", s, MaxPlanLength) }

func cleanSeats(n int) (int, error) {
	if n < 1 || n > MaxSeats {
		return 0, InvalidField("seats", "seats go from 1 to %d", MaxSeats)
	}
	return n, nil
}

func cleanStatus(s SubscriptionStatus) (SubscriptionStatus, error) {
	switch s {
	case SubscriptionActive, SubscriptionPastDue, SubscriptionCanceled:
		return s, nil
	}
	return "", InvalidField("status", "status is one of %s, %s, %s",
		SubscriptionActive, SubscriptionPastDue, SubscriptionCanceled)
}

// optional cleans what was given, and leaves alone what was not.
func optional[T any](in *T, clean func(T) (T, error)) (*T, error) {
	if in == nil {
		return nil, nil
	}
	out, err := clean(*in)
	return &out, err
}

// cleanPermissions returns the permissions sorted, each once.
func cleanPermissions(in []Permission) ([]Permission, error) {
	for _, p := range in {
		if !slices.Contains(Permissions, p) {
			return nil, InvalidField("permissions", "unknown permission; there are: %v", Permissions)
		}
	}
	return sortedSet(in), nil
}

// sortedSet returns a sorted copy without duplicates, never nil.
func sortedSet[T ~string](in []T) []T {
	out := append(make([]T, 0, len(in)), in...)
	slices.Sort(out)
	return slices.Compact(out)
}

// with and without return a changed copy of a sorted list. They report whether
// anything changed.
func with(sorted []string, id string) ([]string, bool) {
	at, found := slices.BinarySearch(sorted, id)
	if found {
		return sorted, false
	}
	return slices.Insert(slices.Clone(sorted), at, id), true
}

func without(sorted []string, id string) ([]string, bool) {
	at, found := slices.BinarySearch(sorted, id)
	if !found {
		return sorted, false
	}
	return slices.Delete(slices.Clone(sorted), at, at+1), true
}
