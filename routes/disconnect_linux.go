package routes

import "golang.org/x/sys/unix"

// peerGone says whether the peer of a socket has closed it, its half of it, or reset it. POLLRDHUP shows a FIN even behind bytes that
// nobody has read, which a read with MSG_PEEK cannot.
func peerGone(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
