// Command pyenv makes the Python environment of a named set of packages (scripts/requirements/SET.txt) in the home folder,
// unless it is there, and prints the path of its Python.
//
//	go run ./scripts/pyenv SET
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pyenv SET, for a file scripts/requirements/SET.txt")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	python, err := env(ctx, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pyenv:", err)
		os.Exit(1)
	}
	fmt.Println(python)
}

func env(ctx context.Context, set string) (string, error) {
	dir, err := home.Dir()
	if err != nil {
		return "", err
	}
	return pip.Env(ctx, os.Stderr, dir, filepath.Join("scripts", "requirements", set+".txt"))
}
