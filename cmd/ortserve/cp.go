package main

import (
	"context"
	"fmt"

	"ortserve/models"
)

// runCopy gives a model of the store a second name.
func runCopy(_ context.Context, args []string, t terminal) error {
	f := newFlags("cp", "cp NAME NEW\n\nGives a model a second name, in place of the model that has it. The files are shared, and each name\ncan be deleted without the other.", t)
	names, err := parseNames(f, args, 2, 2)
	if err != nil {
		return err
	}
	return withStore(func(s *models.Store) error {
		if err := s.Copy(names[0], names[1]); err != nil {
			return err
		}
		_, err := fmt.Fprintf(t.out, "copied %s to %s\n", names[0], names[1])
		return err
	})
}
