package domain_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// A stack as Watermill's Recoverer keeps it: who recovered, the panic, and then
// what led to it.
const panicStack = `goroutine 38 [running]:
runtime/debug.Stack()
	runtime/debug/stack.go:26 +0x5e
github.com/ThreeDotsLabs/watermill/message/router/middleware.Recoverer.func1.1()
	github.com/ThreeDotsLabs/watermill@v1.5.1/message/router/middleware/recoverer.go:30 +0x8f
panic({0xd8a3c0?, 0x115d2f0?})
	runtime/panic.go:792 +0x132
github.com/orbit/realtime/handlers.(*roster).seat(...)
	github.com/orbit/realtime/handlers/member.go:31
github.com/orbit/realtime/handlers.memberChanged.func1({{0xc0001, 0x1e}, 0x7, {0x0, 0x0}})
	github.com/orbit/realtime/handlers/member.go:9 +0x1c
github.com/orbit/realtime/pipeline.(*runner).run.func1.1(0x0?)
	github.com/orbit/realtime/pipeline/runner.go:43 +0x8f
created by github.com/orbit/realtime/pipeline.(*runner).run in goroutine 36
	github.com/orbit/realtime/pipeline/runner.go:39 +0x15f
`

func TestFingerprintOfAPanic(t *testing.T) {
	of := func(stack string) string {
		fingerprint, _ := domain.Fingerprint("p", "panic", stack, "panic: boom")
		return fingerprint
	}
	fingerprint, where := domain.Fingerprint("p", "panic", panicStack, "panic: boom")
	require.Regexp(t, `^[0-9a-f]{16}$`, fingerprint)
	require.Equal(t, "handlers.(*roster).seat", where)

	moved := strings.NewReplacer("member.go:31", "member.go:90", "0xd8a3c0", "0x1", "/realtime/handlers/m", "/src/orbit/handlers/m").Replace(panicStack)
	require.Equal(t, fingerprint, of(moved), "another build of the same source is the same failure")
	require.NotEqual(t, fingerprint, of(strings.Replace(panicStack, "seat", "rank", 1)))

	inLibrary := strings.Replace(panicStack, "panic({", "panic({0x0})\n\truntime/panic.go:1\nregexp.MustCompile({0x0})\n\tregexp/regexp.go:1\nx({", 1)
	_, where = domain.Fingerprint("p", "panic", inLibrary, "panic: boom")
	require.Equal(t, "handlers.(*roster).seat", where, "the first frame of ours, wherever it panicked")

	_, where = domain.Fingerprint("p", "panic", "goroutine 1 [running]:\nmain.main()\n\tmain.go:1\n", "panic: index 3 out of range")
	require.Equal(t, "panic: index <n> out of range", where, "no frame of ours: the message")
}

func TestFingerprintTellsProjectorAndClassApart(t *testing.T) {
	seen := map[string]bool{}
	for _, of := range [][3]string{{"a", "timeout", "m"}, {"b", "timeout", "m"}, {"a", "conflict", "m"}, {"a", "timeout", "n"}} {
		fingerprint, _ := domain.Fingerprint(of[0], of[1], "", of[2])
		require.False(t, seen[fingerprint], "%v", of)
		seen[fingerprint] = true
	}
}

func TestMask(t *testing.T) {
	for message, want := range map[string]string{
		`no such member`: `no such member`,
		`member ` + domain.NewID("mem") + ` is gone`:                 `member mem_<id> is gone`,
		`member mem_01 and mem_77`:                                   `member mem_<id> and mem_<id>`,
		`event ` + domain.NewEventID() + ` failed`:                   `event <uuid> failed`,
		`at 0xc000123abc`:                                            `at <hex>`,
		`checksum 9f86d081884c7d65`:                                  `checksum <hex>`,
		`took 3.25s of 5s, 17 retries, -4 left`:                      `took <n>s of <n>s, <n> retries, <n> left`,
		`payload field "memberId" has "bad id 7"`:                    `payload field "…" has "…"`,
		`invalid: name 'Ada' isn't known`:                            `invalid: name '…' isn't known`,
		"can't read `x y`":                                           "can't read `…`",
		`ada.lovelace@example.com is taken`:                          `…@… is taken`,
		"two\nlines\tand  spaces ":                                   `two lines and spaces`,
		`dial tcp 10.0.0.7:5432: connection refused`:                 `dial tcp <n>: connection refused`,
		`ERROR: deadlock detected (SQLSTATE 40P01)`:                  `ERROR: deadlock detected (SQLSTATE <n>P<n>)`,
		`facade decade added`:                                        `facade decade added`,
		`conflict: the member was changed: at version 7 not below 7`: `conflict: the member was changed: at version <n> not below <n>`,
	} {
		require.Equal(t, want, domain.Mask(message))
		require.Equal(t, want, domain.Mask(domain.Mask(message)), "masking is done once and for all")
	}
}

// What failed may have come from anywhere.
func FuzzFingerprint(f *testing.F) {
	f.Add("p", "panic", panicStack, "boom")
	f.Add("", "", "\npanic(", "\xff'\"`")
	f.Fuzz(func(t *testing.T, projector, class, stack, message string) {
		fingerprint, where := domain.Fingerprint(projector, class, stack, message)
		require.Len(t, fingerprint, 16)
		require.LessOrEqual(t, len(where), 200)
		require.True(t, utf8.ValidString(where))
	})
}
