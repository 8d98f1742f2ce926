package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve starts a server and returns its address, what stops it, and its code.
func serve(t *testing.T, args ...string) (address string, stop func(), code chan int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	code = make(chan int, 1)
	go func() {
		c := run(ctx, append([]string{"serve", "--address", "127.0.0.1:0", "--model", tiny}, args...), nil, io.Discard, w)
		w.Close()
		code <- c
	}()
	lines := bufio.NewScanner(r)
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), " on ")
	}
	go io.Copy(io.Discard, r)
	return address, cancel, code
}

// TestServeGrace: a server that gives requests up says so by its exit code.
func TestServeGrace(t *testing.T) {
	address, stop, code := serve(t, "--grace", "1ms")
	texts := `["` + strings.Join(slices.Repeat([]string{strings.Repeat("long ", 500)}, 2000), `","`) + `"]`
	go http.Post(address+"/v1/embeddings", "application/json", strings.NewReader(`{"input":`+texts+`}`))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		r, err := http.Get(address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if strings.Contains(string(text), "m2embed_requests_working 1\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the request does not run: %s", text)
		}
	}
	stop()
	if c := <-code; c != exitFailure {
		t.Errorf("code %d, want %d", c, exitFailure)
	}
}

func TestHostsFor(t *testing.T) {
	loopback, any := &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv4zero}
	for _, c := range []struct {
		address net.Addr
		names   []string
		want    []string
	}{
		{loopback, nil, []string{"localhost"}}, {loopback, []string{"A.b"}, []string{"localhost", "a.b"}},
		{any, nil, nil}, {any, []string{"a"}, []string{"localhost", "a"}},
	} {
		if got := hostsFor(c.address, c.names); !slices.Equal(got, c.want) {
			t.Errorf("%v, %q: %q, want %q", c.address, c.names, got, c.want)
		}
	}
}
