package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// pageLibrary is a library of npm's that the pages load; it is embedded in the program.
type pageLibrary struct{ file, name, version string }

// purl is its package URL: https://github.com/package-url/purl-spec.
func (l pageLibrary) purl() string {
	scope, name, scoped := strings.Cut(l.name, "/")
	if !scoped {
		return "pkg:npm/" + l.name + "@" + l.version
	}
	return "pkg:npm/" + strings.ReplaceAll(url.PathEscape(scope), "@", "%40") + "/" + name + "@" + l.version
}

// pageLibraries are those that web/vendor.sh brings.
func pageLibraries() ([]pageLibrary, error) {
	script, err := os.ReadFile(filepath.Join("web", "vendor.sh"))
	if err != nil {
		return nil, err
	}
	var all []pageLibrary
	for _, m := range regexp.MustCompile(`(?m)^take (\S+) (\S+)@(\S+) `).FindAllStringSubmatch(string(script), -1) {
		all = append(all, pageLibrary{m[1], m[2], m[3]})
	}
	if len(all) == 0 {
		return nil, errors.New("web/vendor.sh brings nothing")
	}
	return all, nil
}

// copyLicence copies the library's licence to out/licenses/npm/NAME.
func (l pageLibrary) copyLicence(out string) error {
	return copyFile(filepath.Join("web", "static", "vendor", l.file+".LICENSE"), filepath.Join(out, "licenses", "npm", filepath.FromSlash(l.name), "LICENSE"))
}
