package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// maxWhere bounds Poison.Where, in bytes.
const maxWhere = 200

// Fingerprint names the group of failures that one mend will do away with:
// those of a projector, of a class, at a place. The place is the first frame of
// ours in the stack or, without one, the message with everything masked that
// differs from one event to the next. where is that place, at most 200 bytes.
func Fingerprint(projector, class, stack, message string) (fingerprint, where string) {
	if where = firstFrame(stack); where == "" {
		where = Mask(message)
	}
	where = clip(where, maxWhere)
	sum := sha256.Sum256([]byte(projector + "\x00" + class + "\x00" + where))
	return hex.EncodeToString(sum[:8]), where
}

// modulePath begins the name of every function of ours. A build with -trimpath
// leaves it as it is: only file names are cut.
const modulePath = "github.com/orbit/realtime/"

// machinery is the package of ours that runs projectors: its frames are on every
// stack and tell failures no further apart.
const machinery = "pipeline."

// frame is a line of a goroutine's stack that names a function: its path, its
// name, and arguments that are cut off, with whatever follows.
var frame = regexp.MustCompile(`^([\w./\-~%]+\.(?:\(\*?[\w\[\].,*/ ]+\)\.)?[\w.\[\]\-]+)\(`)

// firstFrame returns the innermost function of ours on a stack as debug.Stack
// prints it, without arguments and line numbers: neither a moved line nor
// another value makes it another failure. Frames above the panic, which are
// those of who recovered it, don't count.
func firstFrame(stack string) string {
	if _, below, panicked := strings.Cut(stack, "\npanic("); panicked {
		stack = below
	}
	for line := range strings.Lines(stack) {
		found := frame.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		name, ours := strings.CutPrefix(found[1], modulePath)
		if ours && !strings.HasPrefix(name, machinery) {
			return name
		}
	}
	return ""
}

// masks are applied in order: what is longer and more telling first.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*"`), `"…"`},
	{regexp.MustCompile("`[^`]*`"), "`…`"},
	{regexp.MustCompile(`(^|[\s(=:,\[])'[^']*'`), `$1'…'`},
	{regexp.MustCompile(`\b[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+\b`), "…@…"},
	{regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b([a-z]{2,8})_[0-9a-z]{26}\b`), "${1}_<id>"}, // NewID
	{regexp.MustCompile(`\b0[xX][0-9a-fA-F]+\b`), "<hex>"},
	{regexp.MustCompile(`\b[0-9a-fA-F]*(?:[0-9][a-fA-F]|[a-fA-F][0-9])[0-9a-fA-F]{5,}\b`), "<hex>"},
	{regexp.MustCompile(`\b([a-z]+)_\w*\d\w*`), "${1}_<id>"}, // ids of other makes: mem_01, ws_acme2
	{regexp.MustCompile(`[+\-]?\d+(?:[.,:]\d+)*(?:[eE][+\-]?\d+)?`), "<n>"},
	{regexp.MustCompile(`\s+`), " "},
}

// Mask replaces what differs between two failures of one cause: quoted strings,
// e-mail addresses, UUIDs, ids, hexadecimal and other numbers.
func Mask(message string) string {
	// More than this tells nothing new, and messages come from anywhere.
	masked := strings.ToValidUTF8(clip(message, 4<<10), "�")
	for _, m := range masks {
		masked = m.what.ReplaceAllString(masked, m.by)
	}
	return strings.TrimSpace(masked)
}

// clip cuts s to at most n bytes, between two runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
