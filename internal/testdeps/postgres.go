package testdeps

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// postgresSocket names the folder of a PostgreSQL's socket, for tests that a test starts.
const postgresSocket = "GALERNE_TEST_POSTGRES"

// postgresBin is the folder of the newest PostgreSQL's programs, "" if there are none.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// OnPostgres runs tests of this package once more, each Database being one of a PostgreSQL that is
// made for them and thrown away. Without the programs of PostgreSQL it skips.
func OnPostgres(t *testing.T, tests string) {
	t.Helper()
	if os.Getenv(postgresSocket) != "" {
		t.Skip("this is the run on PostgreSQL")
	}
	bin := postgresBin()
	if bin == "" {
		t.Skip("NOT TESTED: the programs of a PostgreSQL server are missing: install Debian's postgresql")
	}
	dir, err := os.MkdirTemp("", "galerne-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := []string{}
	if os.Getuid() == 0 { // which PostgreSQL refuses to be
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("NOT TESTED: PostgreSQL does not run as root, and there is no user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as = []string{"runuser", "-u", "postgres", "--"}
	}
	data := filepath.Join(dir, "data")
	run := func(args ...string) *exec.Cmd {
		args = append(append([]string{}, as...), args...)
		c := exec.Command(args[0], args[1:]...)
		c.Dir = dir
		return c
	}
	if out, err := run(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := run(filepath.Join(bin, "pg_ctl"), "-D", data, "-w", "-t", "60", "-l", filepath.Join(dir, "log"), "-o", fmt.Sprintf("-k %s -c listen_addresses='' -c fsync=off -c max_connections=200", dir), "start")
	if out, err := server.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("pg_ctl: %v\n%s%s", err, out, log)
	}
	t.Cleanup(func() {
		if out, err := run(filepath.Join(bin, "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop").CombinedOutput(); err != nil {
			t.Errorf("PostgreSQL stays: %v\n%s", err, out)
		}
	})
	c := exec.Command(os.Args[0], "-test.run="+tests, "-test.v", "-test.count=1", "-test.timeout="+(5*time.Minute).String())
	c.Env = append(os.Environ(), postgresSocket+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("on PostgreSQL: %v\n%s", err, out)
	}
}

// Database is where a test's database is: the path, or on PostgreSQL a database of that name.
func Database(t testing.TB, path string) string {
	t.Helper()
	socket := os.Getenv(postgresSocket)
	if socket == "" {
		return path
	}
	sum := sha256.Sum256([]byte(path))
	name := "t" + hex.EncodeToString(sum[:8])
	out, err := exec.Command(filepath.Join(postgresBin(), "createdb"), "-h", socket, "-U", "postgres", name).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "already exists") {
		t.Fatalf("createdb: %v\n%s", err, out)
	}
	return fmt.Sprintf("postgres://postgres@/%s?host=%s", name, socket)
}
