// Package alone runs the tests of a package in namespaces of their own: whatever they start, mount or plug together is gone with them,
// however they end, and they see no process and no port of others. It needs root, on Linux.
package alone

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "SALESCAST_TEST_ALONE"

// Main is a TestMain. It starts the test binary once more, as the first process of new mount, network and process namespaces.
func Main(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(again())
	}
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, "set up namespaces:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func again() int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make namespaces and mounts: run them as root")
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx,gosec // itself; it ends when its tests do, or with this process
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL, // the first process of a process namespace takes all others with it
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	runtime.LockOSThread() // the signal on the parent's death is one on the death of the thread that started the child
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the tests in namespaces of their own:", err)
		return 1
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGQUIT { // a test that timed out: say where it stands
				_ = cmd.Process.Signal(s)
				continue
			}
			_ = cmd.Process.Kill()
		}
	}()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// settle makes what is mounted here invisible elsewhere, shows the processes of this namespace alone, and raises the loopback.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil { //nolint:noctx // at once
		return fmt.Errorf("raise the loopback with ip, of the package iproute2: %w: %s", err, out)
	}
	return nil
}

// Processes returns the processes of this namespace beside the test's own, as "pid command line".
func Processes(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || len(line) == 0 { // it has ended, or waits as a zombie for this test, its parent, which does not ask
			continue
		}
		found = append(found, e.Name()+" "+strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
	}
	return found
}
