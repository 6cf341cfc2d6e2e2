//go:build unix && !linux

package routes

import "golang.org/x/sys/unix"

// peerGone says whether the peer of a socket has closed it or reset it. The poll of these systems does not report a FIN, so this looks at
// the next byte without taking it; a client that sent bytes nobody has read before it left is found only when a write fails.
func peerGone(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case unix.EAGAIN, unix.EINTR:
		return false
	default:
		return true
	}
}
