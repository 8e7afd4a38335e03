package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate reports everything that is wrong, at once: each error is a line that
// names the variable, its flag, and what to set instead. No error holds the
// value of a secret.
func (c Config) Validate() error {
	var problems []error
	complain := func(env, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s (--%s): %s", env, byEnv(env).flag, fmt.Sprintf(format, args...)))
	}
	values := reflect.ValueOf(c)
	for _, f := range fields() {
		if mend := f.check(values.Field(f.index)); mend != "" {
			complain(f.env, "%s", mend)
		}
	}

	for env, addr := range map[string]string{"ORBIT_ADDR": c.Addr, "ORBIT_ADMIN_ADDR": c.AdminAddr} {
		if _, _, err := splitAddr(addr); err != nil {
			complain(env, "%q is not an address: %v; use host:port, such as 127.0.0.1:8080", addr, err)
		}
	}
	if _, port, _ := splitAddr(c.Addr); c.Addr == c.AdminAddr && port != 0 {
		complain("ORBIT_ADMIN_ADDR", "is ORBIT_ADDR as well; use another port")
	}
	if mend := checkDatabaseURL(c.DatabaseURL); mend != "" {
		complain("DATABASE_URL", "%s", mend)
	}
	if mend := checkNATSURL(c.NatsURL); mend != "" {
		complain("NATS_URL", "%s", mend)
	}
	if (c.NatsCert == "") != (c.NatsKey == "") {
		complain("NATS_KEY", "a client certificate and its key go together; set NATS_CERT and NATS_KEY, or neither")
	}
	if !natsPrefix.MatchString(c.NatsPrefix) {
		complain("NATS_PREFIX", "%q can't begin a subject; use letters, digits, dashes and underscores, in parts separated by dots", c.NatsPrefix)
	}
	for _, origin := range c.AllowedOrigins {
		if mend := checkOrigin(origin); mend != "" {
			complain("ORBIT_ALLOWED_ORIGINS", "%s", mend)
		}
	}
	if _, err := c.Operators(); err != nil {
		complain("ORBIT_ADMIN_TOKENS", "%v", err)
	}
	for _, host := range c.AdminHosts {
		if strings.ContainsAny(host, ":/@ ") || host == "" {
			complain("ORBIT_ADMIN_HOSTS", "%q is not a host name; use the name alone, such as ops.example.com", host)
		}
	}
	if u, err := url.Parse(c.AlertWebhook); c.AlertWebhook != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		complain("ORBIT_ALERT_WEBHOOK", "is not a URL; use https://host/path") // it may hold a secret
	}
	if c.PongWait > c.Heartbeat {
		complain("ORBIT_PONG_WAIT", "%s is longer than ORBIT_HEARTBEAT, so that the next ping would come before the answer is overdue; use at most %s", short(c.PongWait), short(c.Heartbeat))
	}
	if c.Drain >= c.ShutdownTimeout {
		complain("ORBIT_DRAIN", "%s leaves no time for the rest of the shutdown; use less than ORBIT_SHUTDOWN_TIMEOUT, which is %s", short(c.Drain), short(c.ShutdownTimeout))
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// Warnings tells what is allowed but seldom meant, one sentence each. It also
// looks at the environment, for variables that look like ours and are not.
func (c Config) Warnings() []string {
	var warnings []string
	if !c.AdminLoopback() {
		warnings = append(warnings, fmt.Sprintf("ORBIT_ADMIN_ADDR %s can be reached from other machines: let only operators through to it, or use 127.0.0.1", c.AdminAddr))
	}
	if !c.AdminLoopback() && len(c.AdminTokens) > 0 && c.CookieSecure == "auto" {
		warnings = append(warnings, "ORBIT_COOKIE_SECURE is auto, so that an operator's session may travel unencrypted: let a proxy end TLS before the admin listener, and use always")
	}
	if c.Demo && !loopback(c.Addr) {
		warnings = append(warnings, fmt.Sprintf("ORBIT_DEMO lets anybody who reaches %s sign in as owner, and restart the server", c.Addr))
	}
	for _, name := range unknown(os.Environ()) {
		warnings = append(warnings, fmt.Sprintf(`%s is not a setting and has no effect: misspelt? "orbit config" lists them all`, name))
	}
	return warnings
}

// toolVariables are read by the command line tools, not by the server.
var toolVariables = []string{"ORBIT_ADMIN_URL", "ORBIT_ADMIN_TOKEN"}

// unknown lists the variables of an environment that have our prefix and no
// field, sorted. ORBIT_TEST_… is the tests' own.
func unknown(environ []string) []string {
	var names []string
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		known := slices.Contains(toolVariables, name) || slices.ContainsFunc(fields(), func(f field) bool { return f.env == name })
		if strings.HasPrefix(name, "ORBIT_") && !strings.HasPrefix(name, "ORBIT_TEST_") && !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// check holds a value against its field's range or choices, and says what to
// set instead.
func (f field) check(v reflect.Value) string {
	if f.choices != nil && !slices.Contains(f.choices, v.String()) {
		return fmt.Sprintf("%q is unknown; use one of %s", v.String(), strings.Join(f.choices, ", "))
	}
	if f.low != "" && (v.Int() < f.number(f.low) || v.Int() > f.number(f.high)) {
		return fmt.Sprintf("%s is out of range; use %s to %s", f.text(v), f.low, f.high)
	}
	return ""
}

// number reads one end of a range.
func (f field) number(s string) int64 {
	if f.duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			panic(err) // a malformed tag
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err) // a malformed tag
	}
	return n
}

func splitAddr(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", text)
	}
	return host, uint16(n), nil
}

// loopback reports whether only this machine reaches addr.
func loopback(addr string) bool {
	host, _, err := splitAddr(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkDatabaseURL catches what would otherwise become a SQLite file of a
// strange name.
func checkDatabaseURL(dsn string) string {
	const mend = "use postgres://user:password@host:5432/database, or the path of a SQLite file"
	scheme, _, isURL := strings.Cut(dsn, "://")
	switch {
	case dsn == "":
		return "is empty; " + mend
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		u, err := url.Parse(dsn)
		if err != nil {
			return "is not a URL (a password with special characters must be percent-encoded); " + mend
		}
		// The host may come from the query, or be this machine. The database
		// would be the one named like the user: nobody means that one.
		if query := u.Query(); strings.Trim(u.Path, "/") == "" && query.Get("dbname") == "" && query.Get("database") == "" {
			return "names no database; " + mend
		}
	case isURL && scheme != "file" && scheme != "sqlite":
		return fmt.Sprintf("there is no database %q; %s", scheme, mend)
	case !isURL && (strings.Contains(dsn, "host=") || strings.Contains(dsn, "dbname=")):
		return "is a list of keywords; " + mend
	}
	return ""
}

var natsPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// checkNATSURL looks at each of the URLs; none is fine.
func checkNATSURL(list string) string {
	const mend = "use nats://host:4222 or tls://host:4222, several separated by commas"
	if list == "" {
		return ""
	}
	for text := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil:
			return "is not a URL (a password with special characters must be percent-encoded); " + mend
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "":
			return "is not a NATS URL; " + mend
		}
	}
	return ""
}

func checkOrigin(origin string) string {
	if origin == "*" {
		return "* would let every web site act with your users' cookies; list the origins that may"
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		return fmt.Sprintf("%q is not an origin; use scheme and host alone, such as https://app.example.com", origin)
	}
	return ""
}
