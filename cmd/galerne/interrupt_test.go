//go:build unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestASecondInterruptIsNotLost interrupts a process that has just learned of a first one, and that may have been started
// with signals ignored.
func TestASecondInterruptIsNotLost(t *testing.T) {
	const child = "GALERNE_TEST_INTERRUPTED"
	if os.Getenv(child) != "" {
		if os.Getenv(child) == "ignored" {
			signal.Ignore(os.Interrupt)
		}
		ctx, stop := untilInterrupted()
		defer stop()
		interrupt(t)
		<-ctx.Done()
		interrupt(t)
		time.Sleep(10 * time.Second)
		return
	}
	for i := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), child+"="+[]string{"heeded", "ignored"}[i%2])
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 130 {
			t.Fatalf("%s: it ended with %v\n%s", cmd.Env[len(cmd.Env)-1], err, out)
		}
	}
}

func interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}
