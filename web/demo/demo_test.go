package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	Files()[path](w, r)
	return w.Result()
}

func TestFilesAreThePage(t *testing.T) {
	want := map[string]string{
		"/":            "text/html; charset=utf-8",
		"/index.html":  "text/html; charset=utf-8",
		"/app.js":      "text/javascript; charset=utf-8",
		"/shared.js":   "text/javascript; charset=utf-8",
		"/style.css":   "text/css; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
	}
	require.Len(t, Files(), len(want))
	for path, contentType := range want {
		t.Run(path, func(t *testing.T) {
			res := get(t, path, nil)
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, contentType, res.Header.Get("Content-Type"))
			require.Equal(t, policy, res.Header.Get("Content-Security-Policy"))
			require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-cache", res.Header.Get("Cache-Control"))
			etag := res.Header.Get("ETag")
			require.NotEmpty(t, etag)

			again := get(t, path, http.Header{"If-None-Match": {etag}})
			require.Equal(t, http.StatusNotModified, again.StatusCode)
			body, err := io.ReadAll(again.Body)
			require.NoError(t, err)
			require.Empty(t, body)
		})
	}
}

// The policy refuses inline code and foreign hosts; a page that needed either
// would be broken in the browser and nowhere else. (Scripts may name addresses:
// React's errors link to their explanation.)
func TestPageKeepsItsOwnPolicy(t *testing.T) {
	for name, a := range load() {
		require.NotEmpty(t, a.contentType, name)
		text := string(a.data)
		switch {
		case strings.HasSuffix(name, ".html"):
			require.NotRegexp(t, `(?i)https?://|["'(]//\w`, text, "%s: external URL", name)
			require.NotRegexp(t, `(?i)<style|\sstyle=|\son\w+=|javascript:`, text, name)
			for _, script := range regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(text, -1) {
				require.Contains(t, script[1], "src=", "inline script")
				require.Empty(t, script[2], "inline script")
			}
		case strings.HasSuffix(name, ".css"):
			require.NotRegexp(t, `(?i)url\(|@import`, text, name)
		case strings.HasSuffix(name, ".js"):
			require.NotRegexp(t, `\beval\(|new Function\(`, text, name)
		}
	}
}
