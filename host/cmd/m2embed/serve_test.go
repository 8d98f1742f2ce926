package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve starts a server, of the tiny model unless args name others, and returns its
// address, what stops it, and its code.
func serve(t *testing.T, args ...string) (address string, stop func(), code chan int) {
	t.Helper()
	if !slices.Contains(args, "--model") {
		args = append(args, "--model", tiny)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	code = make(chan int, 1)
	go func() {
		c := run(ctx, append([]string{"serve", "--address", "127.0.0.1:0"}, args...), nil, io.Discard, w)
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

// TestServeUsage: what cannot be meant is wrong usage, before anything is opened.
func TestServeUsage(t *testing.T) {
	for _, c := range []struct{ flag, value, want string }{
		{"--address", "foo", "host:port"}, {"--address", "127.0.0.1:99999", "65535"}, {"--address", "::1", "host:port"}, {"--address", "", "host:port"},
		{"--alias", "", "want name or name=model"}, {"--alias", "a=none-of-these", "no --model is called"}, {"--alias", "none", "called \"none\""}, {"--unload-after", "0", "at least 1s"}, {"--unload-after", "5ms", "at least 1s"}, {"--model", "=x", "want a name"}, {"--model", "", "is empty"}, {"--model", "x/none", "called \"none\""}, {"--name", "", "--name is empty"}, {"--site", "", "--site is empty"}, {"--index", "", "--index is empty"},
		{"--host", "", "without scheme"}, {"--host", "localhost:8080", "without scheme"}, {"--host", "https://a.example", "without scheme"}, {"--host", "[::1]", "without scheme"},
		{"--grace", "-1s", "positive"}, {"--cors-origin", "a.example", "https://"}, {"--cors-origin", "https://example.org/", "https://"}, {"--cors-origin", "https://a b", "https://"},
		{"--tls-key", "x", "belong together"}, {"--tls-cert", "x", "belong together"},
	} {
		var errs strings.Builder
		if code := run(t.Context(), []string{"serve", "--model", "none", c.flag, c.value}, nil, io.Discard, &errs); code != exitUsage || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s %q: code %d, %s; want %d, %q", c.flag, c.value, code, errs.String(), exitUsage, c.want)
		}
	}
	for _, c := range [][]string{
		{"--model", "a=x", "--name", "b"}, {"--model", "a", "--model", "b", "--config", "x"}, {"--model", "a", "--model", "b", "--tokenizer", "x"}, {"--model", "a", "--model", "b", "--alias", "b"},
	} {
		var errs strings.Builder
		if code := run(t.Context(), append([]string{"serve"}, c...), nil, io.Discard, &errs); code != exitUsage {
			t.Errorf("%q: code %d, %s", c, code, errs.String())
		}
	}
	// These are right: what fails is the model.
	for _, c := range [][]string{{"--address", ":0"}, {"--address", "[::1]:http"}, {"--host", "::1"}, {"--host", "a.example"}, {"--host", "192.168.0.1"}, {"--alias", "x=none"}, {"--model", "small="}, {"--unload-after", "1s"}} {
		var errs strings.Builder
		if code := run(t.Context(), append([]string{"serve", "--model", "none"}, c...), nil, io.Discard, &errs); code != exitFailure || !strings.Contains(errs.String(), "none") {
			t.Errorf("%q: code %d, %s", c, code, errs.String())
		}
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

// TestServeModels: the first model is there at once, others when they are asked
// for; what is unloaded is opened again, and if it cannot be, the answer says so.
func TestServeModels(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a=b") // a name with the sign in it
	if err := os.CopyFS(folder, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	address, stop, code := serve(t, "--model", "second="+folder, "--model", tiny, "--model", folder, "--model", "small=", "--alias", "text-embedding-3-small=small", "--alias", "one", "--unload-after", "1s")
	defer stop()
	ask := func(model string) (int, string) {
		r, err := http.Post(address+"/v1/embeddings", "application/json", strings.NewReader(`{"input":"x","model":"`+model+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(body)
	}
	loaded := func(n string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			r, err := http.Get(address + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if strings.Contains(string(text), "\nm2embed_models_loaded "+n+"\n") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %s models loaded", n)
			}
		}
	}
	loaded("0") // the first one is closed, too
	answers := map[string]string{}
	for _, c := range [][2]string{{"second", "second"}, {"tiny", "tiny"}, {"one", "second"}, {"a=b", "a=b"}, {"small", "small"}, {"text-embedding-3-small", "small"}} {
		status, body := ask(c[0])
		if status != 200 || !strings.Contains(body, `"model":"`+c[1]+`"`) {
			t.Errorf("%s: %d %.200s", c[0], status, body)
		}
		answers[c[0]] = body
	}
	loaded("4")
	loaded("0")
	if _, body := ask("second"); body != answers["second"] {
		t.Error("another answer after the model was unloaded")
	}
	loaded("0")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if status, body := ask("second"); status != 503 || !strings.Contains(body, "its files are not there any more") {
		t.Errorf("without its folder: %d %s", status, body)
	}
	if status, body := ask("tiny"); status != 200 || body != answers["tiny"] {
		t.Errorf("another model then: %d", status)
	}
	stop()
	if c := <-code; c != exitInterrupted && c != exitOK {
		t.Errorf("code %d", c)
	}
	var errs strings.Builder
	if code := run(t.Context(), []string{"serve", "--model", tiny, "--model", "gone=" + folder}, nil, io.Discard, &errs); code != exitFailure || !strings.Contains(errs.String(), "open model gone") {
		t.Errorf("a second model that is not there: code %d, %s", code, &errs)
	}
}

// TestServeFaults: the model's folder may go away while it is served, clients may
// leave in the middle, and a request that is under way when the server stops is
// answered.
func TestServeFaults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(folder, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	address, stop, code := serve(t, "--model", folder)
	ask := func(text string) (string, error) {
		r, err := http.Post(address+"/v1/embeddings", "application/json", strings.NewReader(`{"input":"`+text+`"}`))
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode != 200 {
			err = errors.New(r.Status)
		}
		return string(body), err
	}
	want, err := ask("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	for _, part := range []string{"POST /v1", "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"input\":", ""} {
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, part)
		c.Close()
	}
	if got, err := ask("x"); err != nil || got != want {
		t.Errorf("without its folder: %.100s, %v", got, err)
	}
	// The body's end comes once the server is stopping.
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"input\"")
	for {
		r, err := http.Get(address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if strings.Contains(string(body), "\nm2embed_queue_bytes 13\n") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	for {
		if late, err := net.Dial("tcp", strings.TrimPrefix(address, "http://")); err != nil {
			break // it takes no new ones
		} else {
			late.Close()
		}
		time.Sleep(time.Millisecond)
	}
	io.WriteString(c, `:"x"}`)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("a request under way: %v, %v", answer, err)
	}
	body, _ := io.ReadAll(answer.Body)
	if c := <-code; string(body) != want || c != exitInterrupted && c != exitOK {
		t.Errorf("a request under way: %.100s; code %d", body, c)
	}
}

// TestTraces: spans go to where OpenTelemetry's variables say, as children of the
// client's, and the last ones before the server ends; without texts.
func TestTraces(t *testing.T) {
	sent := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent <- r.URL.Path + " " + r.Header.Get("X-Key") + " " + string(body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
	t.Setenv("OTEL_SERVICE_NAME", "embedder of the test")
	address, stop, code := serve(t)
	r, err := http.NewRequest("POST", address+"/v1/embeddings", strings.NewReader(`{"input":"confidential"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01")
	if w, err := http.DefaultClient.Do(r); err != nil || w.StatusCode != 200 {
		t.Fatalf("%v, %v", w, err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	<-code
	close(sent)
	all := ""
	for text := range sent {
		all += text
	}
	for _, want := range []string{"/v1/traces secret", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", "\x11\x12\x13\x14\x15\x16\x17\x18", "POST /v1/embeddings", "embed", "embedder of the test"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
	if strings.Contains(all, "confidential") {
		t.Error("a text is in the traces")
	}
}
