// Package web holds the pages that the server shows to people, and all that they load: HTML, style sheets and modules of JavaScript as they
// are in the folder static, without a build step. The pages ask nobody but the server that they came from, and Policy has the browser see to that.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// Policy is the content security policy of the pages: nothing inline, nothing from elsewhere, and what becomes markup went through the
// sanitizer, the one place that may make any (Trusted Types).
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"

// File is one file as it is served.
type File struct {
	Body        []byte
	ContentType string
	ETag        string // a strong one, RFC 9110, section 8.8.3
}

// types are the content types by a file name's extension.
var types = map[string]string{
	".html":    "text/html; charset=utf-8",
	".css":     "text/css; charset=utf-8",
	".js":      "text/javascript; charset=utf-8",
	".svg":     "image/svg+xml",
	".LICENSE": "text/plain; charset=utf-8",
}

// Files returns all files by the path of their URL: the chat page is /, a page NAME.html is /NAME, and the rest lies below /web/.
func Files() (map[string]File, error) {
	files := map[string]File{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		files[urlOf(strings.TrimPrefix(name, "static/"))] = File{body, types[path.Ext(name)], `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	return files, err
}

// urlOf returns the path under which a file of the folder is served.
func urlOf(name string) string {
	if page, ok := strings.CutSuffix(name, ".html"); ok {
		return "/" + strings.TrimSuffix(page, "index")
	}
	return "/web/" + name
}
