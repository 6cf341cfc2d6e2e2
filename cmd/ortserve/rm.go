package main

import (
	"context"
	"fmt"
	"math"

	"ortserve/models"
)

// runRemove deletes models of the store.
func runRemove(_ context.Context, args []string, t terminal) error {
	f := newFlags("rm", "rm NAME...\n\nDeletes models of the store. A server that has one loaded serves its running requests to the end.", t)
	names, err := parseNames(f, args, 1, math.MaxInt)
	if err != nil {
		return err
	}
	return withStore(func(s *models.Store) error {
		for _, name := range names {
			if err := s.Remove(name); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(t.out, "deleted %s\n", name); err != nil {
				return err
			}
		}
		return nil
	})
}
