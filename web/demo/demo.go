// Package demo is the embedded demo page, as npm built it from src: dist is
// committed, so that Go alone builds the binary. Nothing is fetched from elsewhere.
package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed dist
var dist embed.FS

// policy allows what the page itself is made of, and its own server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// contentTypes stand here because mime.TypeByExtension answers differently
// from machine to machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

type asset struct {
	data              []byte
	contentType, etag string
}

// Files are the page's files by their URL path; the page itself is "/" too.
// Each answers GET and HEAD.
func Files() map[string]http.HandlerFunc {
	files := map[string]http.HandlerFunc{}
	for name, a := range load() {
		files["/"+name] = a.serve
	}
	files["/"] = files["/index.html"]
	return files
}

// serve lets browsers keep the file but ask each time whether it is current, so
// that a new binary is seen at once.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data)) // answers If-None-Match by the ETag
}

func load() map[string]asset {
	assets := map[string]asset{}
	entries, err := fs.ReadDir(dist, "dist")
	if err != nil {
		panic(err) // embedded: it is there or the binary isn't
	}
	for _, e := range entries {
		data, err := fs.ReadFile(dist, path.Join("dist", e.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		assets[e.Name()] = asset{data, contentTypes[path.Ext(e.Name())], `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return assets
}
