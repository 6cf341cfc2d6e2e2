package main

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill cmd when the thread that starts it ends, however it ends. main stays on its thread for that.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
