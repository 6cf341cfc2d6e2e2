package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	servedName   = "bench"          // under which this server knows the model
	startLimit   = 3 * time.Minute  // for a server to be ready
	requestLimit = 10 * time.Minute // for a burst to be answered
)

// server is a running process that answers requests.
type server struct {
	name    string
	command string // as a person would type it
	dialect dialect
	url     string
	log     string // file of what it writes
	ready   time.Duration
	client  *http.Client
	cmd     *exec.Cmd
	done    chan struct{}
}

// launch says what to start: program and arguments. {port} in an argument becomes a free port.
type launch struct {
	name    string
	dialect dialect
	argv    []string
	home    string // what a path in argv begins with
}

// start starts a server and waits until it is ready. It ends with ctx or with stop.
func start(ctx context.Context, l launch, logs string) (*server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	argv := make([]string, len(l.argv))
	for i, a := range l.argv {
		argv[i] = strings.ReplaceAll(a, "{port}", port)
	}
	s := &server{
		name: l.name, dialect: l.dialect, url: "http://127.0.0.1:" + port, command: l.command(),
		log:    filepath.Join(logs, strings.Map(fileLetter, l.name)+"-"+port+".log"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		done:   make(chan struct{}),
	}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	endWithParent(s.cmd)
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended does not matter; while it is needed, requests tell
		close(s.done)
	}()
	if err := s.waitReady(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.ready = time.Since(begin)
	return s, nil
}

func (s *server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/health", nil)
		if err != nil {
			return err
		}
		if resp, err := s.client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended before it was ready; its log is %s", s.name, s.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w); its log is %s", s.name, ctx.Err(), s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the process and waits until it is gone.
func (s *server) stop() {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Kill() // an error says that it has ended
	<-s.done
}

// freePort is a port of the loopback interface that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return strconv.Itoa(port), l.Close()
}

// command is what a person types: the program by its name, files by their paths in the home folder.
func (l launch) command() string {
	out := append([]string{filepath.Base(l.argv[0])}, l.argv[1:]...)
	for i, a := range out {
		out[i] = strings.ReplaceAll(strings.ReplaceAll(a, l.home, "$ORTSERVE_HOME"), "{port}", "PORT")
	}
	return strings.Join(out, " ")
}

func fileLetter(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
		return r
	}
	return '-'
}

// startAll starts servers one after the other, and stops those that run if one fails.
func startAll(ctx context.Context, launches []launch, logs string) ([]*server, error) {
	var all []*server
	for _, l := range launches {
		s, err := start(ctx, l, logs)
		if err != nil {
			stopAll(all)
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func stopAll(all []*server) {
	for _, s := range all {
		s.stop()
	}
}

// errBusy says that other programs use the processors.
var errBusy = errors.New("the machine is busy")
