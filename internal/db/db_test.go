package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(context.Background(), testdeps.Database(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

const addUsage = `INSERT INTO usage (id, at, key, tenant, surface, route, model, status, code, prompt, cached, answer, took)
	VALUES ($1, 0, '', '', '', '', '', 200, '', 1, 0, 1, 0)`

func TestADatabaseIsMadeOnFirstNeedForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "with ?#% and spaces", "galerne.db")
	d := open(t, path)
	if _, err := d.Exec(context.Background(), addUsage, "a"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		st, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.Name(), "galerne.db") || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), st.Mode())
		}
	}
}

func TestWhatWasWrittenIsThereAfterOpeningAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "galerne.db")
	d := open(t, path)
	if n, err := d.Exec(context.Background(), addUsage, "a"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	failed := errors.New("no")
	err := d.Tx(context.Background(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(addUsage, "b"); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	d.Close()
	var n int
	if err := open(t, path).One(context.Background(), `SELECT count(*) FROM usage`, nil, &n); err != nil || n != 1 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

func TestADamagedFileIsAnErrorAndStaysAsItIs(t *testing.T) {
	good := filepath.Join(t.TempDir(), "galerne.db")
	open(t, good).Close()
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	scribbled := bytes.Clone(whole)
	for i := 100; i < len(scribbled); i++ { // all but the header that says it is SQLite's
		scribbled[i] = byte(i * 7)
	}
	for name, data := range map[string][]byte{"text": []byte(strings.Repeat("this is no database. ", 500)), "scribbled": scribbled, "cut": whole[:len(whole)/2]} {
		path := filepath.Join(t.TempDir(), "galerne.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(context.Background(), path)
		if err == nil {
			d.Close()
			t.Errorf("%s: it was opened", name)
			continue
		}
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, data) {
			t.Errorf("%s: the file has changed", name)
		}
	}
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "galerne.db")
	d := open(t, path)
	if _, err := d.Exec(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := Open(context.Background(), testdeps.Database(t, path)); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "9999") {
		t.Fatal(err)
	}
}

func TestAFullDiskIsSaidAndLosesNothing(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "galerne.db"))
	ctx := context.Background()
	// SQLite's own limit of pages gives the error that a full disk gives.
	if _, err := d.Exec(ctx, `PRAGMA max_page_count = 40`); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for ; stored < 10000; stored++ {
		if _, err := d.Exec(ctx, addUsage, fmt.Sprintf("%d %s", stored, strings.Repeat("x", 1000))); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	var n int
	if err := d.One(ctx, `SELECT count(*) FROM usage`, nil, &n); err != nil || n != stored || n == 0 || n == 10000 {
		t.Fatalf("%d of %d rows: %v", n, stored, err)
	}
	if _, err := d.Exec(ctx, `PRAGMA max_page_count = 4000`); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Exec(ctx, addUsage, "after"); err != nil {
		t.Fatal(err)
	}
}

// TestSeveralProcessesWriteOneDatabase starts this test's program several times: all make the
// database at once, and write into it.
func TestSeveralProcessesWriteOneDatabase(t *testing.T) {
	const processes, rows = 4, 50
	if path := os.Getenv("GALERNE_TEST_DB"); path != "" {
		d := open(t, path)
		for i := range rows {
			if _, err := d.Exec(context.Background(), addUsage, fmt.Sprintf("%d-%d", os.Getpid(), i)); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	path := filepath.Join(t.TempDir(), "galerne.db")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, processes)
	for range processes {
		c := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSeveralProcessesWriteOneDatabase$", "-test.count=1")
		c.Env = append(os.Environ(), "GALERNE_TEST_DB="+path)
		go func() {
			out, err := c.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			done <- err
		}()
	}
	for range processes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var n int
	if err := open(t, path).One(ctx, `SELECT count(*) FROM usage`, nil, &n); err != nil || n != processes*rows {
		t.Errorf("%d rows of %d: %v", n, processes*rows, err)
	}
}

func TestAReaderDoesNotWaitForAWriter(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "galerne.db"))
	ctx := context.Background()
	err := d.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(addUsage, "a"); err != nil {
			return err
		}
		var n int
		if err := d.One(ctx, `SELECT count(*) FROM usage`, nil, &n); err != nil || n != 0 {
			t.Errorf("%d rows before they were committed, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheSameHoldsOnPostgreSQL(t *testing.T) {
	testdeps.OnPostgres(t, "^Test(WhatWasWritten|ANewer|Several|AReader)")
}

func TestAPostgreSQLThatIsNotThereIsSaidWithoutThePassword(t *testing.T) {
	for _, address := range []string{"postgres://me:hush@127.0.0.1:1/galerne?connect_timeout=1", "postgres://me:hush@%zz/galerne", "postgresql://me:hush@127.0.0.1:x/galerne"} {
		d, err := Open(context.Background(), address)
		if err == nil {
			d.Close()
		}
		if !errors.Is(err, ErrUnusable) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
