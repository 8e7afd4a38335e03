package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Operator is one entry of ORBIT_ADMIN_TOKENS.
type Operator struct {
	Name  string // 1 to 64 letters, digits, dots, dashes, underscores; unique
	Role  string // viewer or operator
	Token string // 16 to 256 characters; unique
}

// Roles lists what an operator can be: a viewer reads, an operator acts.
var Roles = []string{"viewer", "operator"}

var operatorName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Operators reads AdminTokens. Its errors name an entry by its place, never by
// its text.
func (c Config) Operators() ([]Operator, error) {
	operators := make([]Operator, 0, len(c.AdminTokens))
	for i, entry := range c.AdminTokens {
		name, rest, _ := strings.Cut(strings.TrimSpace(entry), ":")
		role, token, whole := strings.Cut(rest, ":")
		switch {
		case !whole:
			return nil, fmt.Errorf("entry %d is not name:role:token, such as alice:operator:<16 random characters>", i+1)
		case !operatorName.MatchString(name):
			return nil, fmt.Errorf("entry %d: a name is 1 to 64 letters, digits, dots, dashes and underscores", i+1)
		case !slices.Contains(Roles, role):
			return nil, fmt.Errorf("entry %d: the role is unknown; use one of %s", i+1, strings.Join(Roles, ", "))
		case len(token) < 16 || len(token) > 256 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("entry %d: a token is 16 to 256 printable characters, such as the output of: openssl rand -hex 24", i+1)
		case slices.ContainsFunc(operators, func(o Operator) bool { return o.Name == name || o.Token == token }):
			return nil, fmt.Errorf("entry %d repeats the name or the token of another", i+1)
		}
		operators = append(operators, Operator{name, role, token})
	}
	return operators, nil
}

// AdminLoopback reports whether only this machine reaches the admin listener.
func (c Config) AdminLoopback() bool { return loopback(c.AdminAddr) }

// maskTokens leaves of each entry who may do what.
func maskTokens(entries []string) string {
	masked := make([]string, len(entries))
	for i, entry := range entries {
		parts := strings.SplitN(entry, ":", 3)
		masked[i] = "*****"
		if len(parts) == 3 {
			masked[i] = parts[0] + ":" + parts[1] + ":*****"
		}
	}
	return strings.Join(masked, ",")
}
