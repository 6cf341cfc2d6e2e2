package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hang is how long a test waits for what should take seconds at most.
const hang = 2 * time.Minute

// image is what build.sh made.
type image struct {
	root   string // its files
	config config
}

// config is the image's, in Docker's words.
type config struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	ExposedPorts map[string]struct{}
	Healthcheck  struct{ Test []string }
	Labels       map[string]string
}

// load reads the image in the folder that ORTSERVE_IMAGE names.
func load(t *testing.T) *image {
	t.Helper()
	dir := os.Getenv("ORTSERVE_IMAGE")
	if dir == "" {
		t.Skip("ORTSERVE_IMAGE names no image: make test-image builds one and runs this")
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Docker struct{ Config config } `json:"Docker"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return &image{root: filepath.Join(dir, "rootfs"), config: doc.Docker.Config}
}

// options are what a person says of a container.
type options struct {
	env    []string // NAME=VALUE, beside the image's
	volume string   // a folder for /var/lib/ortserve/models, read-only; "" for none
	args   []string // instead of the image's command
}

// container is a running image: a read-only root, the image's user without capabilities, a network with nothing but itself.
type container struct {
	image   *image
	options options
	cmd     *exec.Cmd
	pid     int           // of its first process, as this machine sees it
	output  *bytes.Buffer // read it after done
	done    chan struct{}
}

// command is the command line that runs argv in the image. The network is the caller's unless bwrap is told otherwise.
func (im *image) command(o options, argv []string, more ...string) *exec.Cmd {
	uid, gid, _ := strings.Cut(im.config.User, ":")
	args := append(more, "--ro-bind", im.root, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-ipc", "--unshare-uts", "--new-session", "--clearenv")
	if o.volume != "" {
		args = append(args, "--ro-bind", o.volume, "/var/lib/ortserve/models")
	}
	for _, kv := range append(im.config.Env[:len(im.config.Env):len(im.config.Env)], o.env...) {
		name, value, _ := strings.Cut(kv, "=")
		args = append(args, "--setenv", name, value)
	}
	args = append(args, "--", "/usr/bin/setpriv", "--reuid="+uid, "--regid="+gid, "--clear-groups", "--no-new-privs",
		"--bounding-set=-all", "--inh-caps=-all", "--")
	return exec.CommandContext(context.Background(), "bwrap", append(args, argv...)...)
}

// start runs the image. At the end of the test it is killed if it still runs.
func (im *image) start(t *testing.T, o options) *container {
	t.Helper()
	argv := o.args
	if argv == nil {
		argv = im.config.Cmd
	}
	info, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer info.Close()
	c := &container{image: im, options: o, output: new(bytes.Buffer), done: make(chan struct{})}
	argv = append(im.config.Entrypoint[:len(im.config.Entrypoint):len(im.config.Entrypoint)], argv...)
	c.cmd = im.command(o, argv, "--unshare-net", "--unshare-pid", "--as-pid-1", "--info-fd", "3")
	c.cmd.ExtraFiles = []*os.File{w}
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the child has its own
	go func() {
		_ = c.cmd.Wait() // its code is read from ProcessState
		close(c.done)
	}()
	var child struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&child); err != nil {
		<-c.done
		t.Fatalf("bwrap: %v, %s", err, c.output)
	}
	c.pid = child.PID
	t.Cleanup(func() {
		_ = unix.Kill(c.pid, unix.SIGKILL) // an error says that it has ended
		<-c.done
		if t.Failed() {
			t.Logf("%q said:\n%s", argv, c.output)
		}
	})
	return c
}

// wait returns the exit code.
func (c *container) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(hang):
		t.Fatal("the container does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

// inside calls f on a thread that is in the container's network.
func (c *container) inside(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never back: the thread ends with the goroutine
		result <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-result
}

// healthcheck runs the image's, as an engine does: in the container, with the container's environment.
func (c *container) healthcheck(t *testing.T) error {
	t.Helper()
	test := c.image.config.Healthcheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		t.Fatalf("the image's health check is %q", test)
	}
	return c.inside(func() error {
		out, err := c.image.command(c.options, test[1:]).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// waitHealthy waits until the health check says yes, or the container ends.
func (c *container) waitHealthy(t *testing.T) {
	t.Helper()
	var err error
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		select {
		case <-c.done:
			t.Fatal("the container ended")
		default:
		}
		if err = c.healthcheck(t); err == nil {
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	t.Fatalf("it does not become healthy: %v", err)
}

// ask sends a request to the container's port and returns the answer.
func (c *container) ask(t *testing.T, method, path, key, body string) (status int, answer string) {
	t.Helper()
	client := &http.Client{Timeout: hang, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			return conn, c.inside(func() error {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
				return err
			})
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:9112"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// stop ends the container as an engine does and returns its exit code.
func (c *container) stop(t *testing.T) int {
	t.Helper()
	if err := unix.Kill(c.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return c.wait(t)
}
