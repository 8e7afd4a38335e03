package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
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
		"/":              "text/html; charset=utf-8",
		"/index.html":    "text/html; charset=utf-8",
		"/app.js":        "text/javascript; charset=utf-8",
		"/connection.js": "text/javascript; charset=utf-8",
		"/dom.js":        "text/javascript; charset=utf-8",
		"/permits.js":    "text/javascript; charset=utf-8",
		"/subject.js":    "text/javascript; charset=utf-8",
		"/view.js":       "text/javascript; charset=utf-8",
		"/style.css":     "text/css; charset=utf-8",
		"/favicon.svg":   "image/svg+xml",
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
// would be broken in the browser and nowhere else.
func TestPageKeepsItsOwnPolicy(t *testing.T) {
	for name, a := range load() {
		text := string(a.data)
		require.NotEmpty(t, a.contentType, name)
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "") // a name, never fetched
		require.NotRegexp(t, `(?i)https?://|["'(]//\w`, text, "%s: external URL", name)
		if strings.HasSuffix(name, ".html") {
			require.NotRegexp(t, `(?i)<style|\sstyle=|\son\w+=|javascript:`, text, name)
			for _, script := range regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(text, -1) {
				require.Contains(t, script[1], "src=", "inline script")
				require.Empty(t, script[2], "inline script")
			}
		}
	}
}

// A new server event must not be forgotten on the client: the fourth of the
// README's four steps.
func TestPageHandlesEveryServerEvent(t *testing.T) {
	app := string(load()["app.js"].data)
	apply := app[strings.Index(app, "function applyServerEvent"):strings.Index(app, "async function hydrate")]
	var handled, catalog []string
	for _, match := range regexp.MustCompile(`case "([^"]+)":`).FindAllStringSubmatch(apply, -1) {
		handled = append(handled, match[1])
	}
	for _, spec := range domain.Catalog {
		catalog = append(catalog, string(spec.Type))
	}
	require.ElementsMatch(t, catalog, handled, "applyServerEvent in static/app.js has one case per type of domain.Catalog")
}
