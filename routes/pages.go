package routes

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/web"
)

// pages are the files of the pages by their path. They are compiled in, so that an error can only be of the build.
var pages = func() map[string]web.File {
	files, err := web.Files()
	if err != nil {
		panic(err)
	}
	return files
}()

// pagePaths are their paths, in order, but for the chat page's: that is root's.
var pagePaths = func() []string {
	var paths []string
	for path := range pages {
		if path != "/" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}()

// isPage says whether a path is a page's or of a file that pages load.
func isPage(path string) bool {
	_, ok := pages[path]
	return ok
}

// root serves GET /: the chat page for a browser, and for everybody else the text by which Ollama's clients know a server.
func (s *server) root(c *fiber.Ctx) error {
	c.Vary(fiber.HeaderAccept)
	if c.Accepts(fiber.MIMETextPlain, fiber.MIMETextHTML) == fiber.MIMETextHTML {
		return s.page(c)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	return c.SendString("Ollama is running")
}

// page serves a file of the pages. A browser asks each time whether it has changed.
func (s *server) page(c *fiber.Ctx) error {
	f := pages[c.Path()]
	c.Set(fiber.HeaderContentType, f.ContentType)
	c.Set(fiber.HeaderETag, f.ETag)
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderContentSecurityPolicy, web.Policy)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.Contains(c.Get(fiber.HeaderIfNoneMatch), f.ETag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	return c.Send(f.Body)
}
