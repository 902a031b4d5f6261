//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestASecondInterruptIsNotLost interrupts a process that has just learned of a first one.
func TestASecondInterruptIsNotLost(t *testing.T) {
	const child = "GALERNE_TEST_INTERRUPTED"
	if os.Getenv(child) != "" {
		ctx, stop := untilInterrupted()
		defer stop()
		interrupt(t)
		<-ctx.Done()
		interrupt(t)
		time.Sleep(10 * time.Second)
		return
	}
	for range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
			t.Fatalf("it ended with %v\n%s", err, out)
		}
	}
}

func interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}
