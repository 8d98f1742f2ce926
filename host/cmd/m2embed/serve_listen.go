package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// firstPassed is the number of the first file that systemd passes on.
const firstPassed = 3

// listen opens the address to listen on, or takes the socket that systemd opened
// for this process (sd_listen_fds).
func listen(address string) (net.Listener, error) {
	passed, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || passed < 1 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return net.Listen("tcp", address)
	}
	if passed > 1 {
		return nil, fmt.Errorf("systemd passed on %d sockets, want 1", passed)
	}
	os.Unsetenv("LISTEN_FDS")
	os.Unsetenv("LISTEN_PID")
	f := os.NewFile(firstPassed, "socket of systemd")
	listener, err := net.FileListener(f)
	return listener, errors.Join(err, f.Close())
}

// tellSystemd says how this process is, where systemd wants to know (sd_notify).
func tellSystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // it will time out and say so
	}
	defer c.Close()
	c.Write([]byte(state))
}

// certificate is a certificate and its key in files, read again when they change.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	changed [2]time.Time // modification times of what is loaded
	loaded  *tls.Certificate
}

// lookAgain is how long files are taken to be as they were.
const lookAgain = time.Second

// newCertificate reads the files.
func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log}
	return c, c.load()
}

// load reads the files if they have changed.
func (c *certificate) load() error {
	c.looked = time.Now()
	var changed [2]time.Time
	for i, path := range []string{c.cert, c.key} {
		stat, err := os.Stat(path)
		if err != nil {
			return err
		}
		changed[i] = stat.ModTime()
	}
	if c.loaded != nil && changed == c.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.loaded, c.changed = &pair, changed
	return nil
}

// get returns the certificate for a connection: the newest that could be read.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= lookAgain {
		if err := c.load(); err != nil { // half written, say
			c.log.Warn("the certificate stays as it was", "error", err)
		}
	}
	return c.loaded, nil
}
