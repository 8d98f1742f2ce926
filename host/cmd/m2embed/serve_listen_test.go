package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a certificate for 127.0.0.1 with a serial number.
func writeCertificate(t *testing.T, folder string, serial int64) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "m2embed"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1e9+serial, 0) // file systems may count seconds
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestCertificate: changed files are read again, broken ones change nothing.
func TestCertificate(t *testing.T) {
	folder := t.TempDir()
	cert, key := writeCertificate(t, folder, 1)
	c, err := newCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c.looked = time.Time{}
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("certificate %d, want 1", n)
	}
	writeCertificate(t, folder, 2)
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after the change, want 2", n)
	}
	whole, _ := os.ReadFile(cert)
	os.WriteFile(cert, whole[:len(whole)/2], 0o600)
	if n := serial(); n != 2 {
		t.Errorf("certificate %d with half a file, want 2", n)
	}
	os.Remove(key)
	if n := serial(); n != 2 {
		t.Errorf("certificate %d without a key, want 2", n)
	}
	if _, err := newCertificate(cert, key, nil); err == nil {
		t.Error("no error of a key that is not there")
	}
}

// TestServeTLS: with a certificate the server speaks HTTPS, HTTP/2 too.
func TestServeTLS(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), 1)
	address, stop, code := serve(t, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(address, "https://") {
		t.Fatalf("address %q", address)
	}
	roots := x509.NewCertPool()
	data, _ := os.ReadFile(cert)
	roots.AppendCertsFromPEM(data)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	r, err := client.Post(address+"/v1/embeddings", "application/json", strings.NewReader(`{"input":"x"}`))
	if err != nil || r.StatusCode != 200 || r.ProtoMajor != 2 {
		t.Errorf("%v, %v", r, err)
	}
	client.CloseIdleConnections()
	stop()
	if c := <-code; c != exitInterrupted && c != exitOK {
		t.Errorf("code %d", c)
	}
}

// TestSocket: the socket that systemd passes on is served, and systemd is told.
func TestSocket(t *testing.T) {
	if os.Getenv("M2EMBED_TEST_SOCKET") != "" {
		ctx, stop := context.WithCancel(context.Background())
		go func() { io.Copy(io.Discard, os.Stdin); stop() }()
		os.Exit(run(ctx, []string{"serve", "--model", tiny, "--address", "none:0"}, nil, io.Discard, os.Stderr))
	}
	if runtime.GOOS == "windows" {
		t.Skip("no systemd there")
	}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		t.Run(network, func(t *testing.T) { testSocket(t, network, address) })
	}
}

func testSocket(t *testing.T, network, address string) {
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f, err := listener.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSocket$'`, self)
	child.Env = append(os.Environ(), "M2EMBED_TEST_SOCKET=1", "LISTEN_FDS=1", "NOTIFY_SOCKET="+told.LocalAddr().String())
	child.ExtraFiles = []*os.File{f}
	var said bytes.Buffer
	child.Stderr = &said
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	state := make([]byte, 100)
	told.SetReadDeadline(time.Now().Add(time.Minute))
	n, err := told.Read(state)
	if err != nil || string(state[:n]) != "READY=1" {
		t.Errorf("systemd is told %q, %v", state[:n], err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
	}}}
	r, err := client.Get("http://localhost/readyz")
	if err != nil || r.StatusCode != 200 {
		t.Errorf("%v, %v", r, err)
	}
	client.CloseIdleConnections()
	in.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, &said)
	}
	try := "try: curl -s http://" + listener.Addr().String() + "/v1"
	if network == "unix" {
		try = "try: curl -s --unix-socket " + address + " http://localhost/v1"
	}
	if !strings.Contains(said.String(), try) {
		t.Errorf("%q is missing in %s", try, &said)
	}
}
