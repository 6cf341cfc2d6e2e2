package config

import (
	"fmt"
	"strings"
)

// ServeDocument is the flags of `ortserve serve` as tables in Markdown, one a group.
func ServeDocument() string { return new(Serve).flags().document() }

// document writes a table for each group of flags.
func (f *flagSet) document() string {
	var b strings.Builder
	group := ""
	for _, o := range f.flags {
		if o.group != group {
			group = o.group
			fmt.Fprintf(&b, "\n### %s\n\n| flag | variable | |\n|---|---|---|\n", group)
		}
		head := "--" + o.name
		if o.arg != "" {
			head += " " + o.arg
		}
		variable := "none"
		if !o.local {
			variable = "`" + envName(o.name) + "`"
		}
		text := strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;", "*", `\*`).Replace(o.help)
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", head, variable, text)
	}
	return b.String()
}
