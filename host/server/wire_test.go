package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// wire is a server behind a real connection.
func wire(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	web := httptest.NewServer(serverOf(open(t), o))
	t.Cleanup(web.Close)
	return web
}

const wireBody = `{"input":"hello"}`

// post is a request's head with more headers, which bring a length or a coding.
func post(headers string) string {
	return "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers + "\r\n"
}

// answers reads so many answers of a connection: their status and body.
func answers(t *testing.T, r io.Reader, n int) (all []string) {
	t.Helper()
	b := bufio.NewReader(r)
	for range n {
		a, err := http.ReadResponse(b, nil)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		data, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		all = append(all, fmt.Sprint(a.StatusCode, " ", string(data)))
	}
	return all
}

// TestWire: what clients do with a connection beside sending one whole request and
// reading its answer.
func TestWire(t *testing.T) {
	long := fmt.Sprintf("Content-Length: %d\r\n", len(wireBody))
	whole := post(long) + wireBody
	chunks := fmt.Sprintf("5\r\n%s\r\n%x;more=1\r\n%s\r\n0\r\nX-Trailer: a\r\n\r\n", wireBody[:5], len(wireBody)-5, wireBody[5:])
	for name, c := range map[string]struct {
		send string
		half bool // the client sends no more, and reads: it may count as gone
		want []string
	}{
		"half closed":                  {whole, true, []string{`200 {"object":"list"`}},
		"half closed within the body":  {post(long) + wireBody[:5], true, []string{"400 {\"error\":{\"message\":\"the request is empty or ends too early"}},
		"half closed within a chunk":   {post("Transfer-Encoding: chunked\r\n") + "9\r\n{", true, []string{"400 {\"error\":{\"message\":\"the request is empty or ends too early"}},
		"half closed within the head":  {whole[:40], true, []string{"400 "}},
		"pipelined":                    {whole + whole + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + whole, false, []string{"200 {", "200 {", "200 ok", "200 {"}},
		"pipelined and half closed":    {whole + whole, true, []string{"200 {", "200 {"}},
		"pipelined after a bad one":    {post("Content-Length: 3\r\n") + "{x}" + whole, false, []string{`400 {"error"`, `200 {"object":"list"`}},
		"pipelined after an empty one": {post("Content-Length: 0\r\n") + whole, false, []string{`400 {"error"`, `200 {"object":"list"`}},
		"chunks":                       {post("Transfer-Encoding: chunked\r\n") + chunks + whole, false, []string{`200 {"object":"list"`, `200 {"object":"list"`}},
		"a bad chunk":                  {post("Transfer-Encoding: chunked\r\n") + "zz\r\n", false, []string{`400 {"error":{"message":"the body cannot be read: invalid byte in chunk length`}},
		"another coding":               {post("Transfer-Encoding: gzip, chunked\r\n") + chunks, false, []string{"501 "}},
		"two lengths":                  {post(long+"Content-Length: 3\r\n") + wireBody, false, []string{"400 "}},
		"expects to go on, goes on":    {post(long+"Expect: 100-continue\r\n") + wireBody, false, []string{"100 ", `200 {"object":"list"`}},
		"expects something else":       {post(long + "Expect: a-miracle\r\n"), false, []string{"417 "}},
		"expects, too large":           {post("Content-Length: 99999999\r\nExpect: 100-continue\r\n"), false, []string{`413 {"error"`}},
		"HTTP/1.0":                     {strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1), false, []string{`200 {"object":"list"`}},
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := net.Dial("tcp", wire(t, Options{}).Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			connection.SetDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(connection, c.send); err != nil {
				t.Fatal(err)
			}
			if c.half {
				if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			for i, got := range answers(t, connection, len(c.want)) {
				gone := c.half && strings.HasPrefix(got, `499 {"error"`) // whoever closes all does the same first
				if !strings.HasPrefix(got, c.want[i]) && !gone {
					t.Errorf("answer %d is %.200q, want %q", i, got, c.want[i])
				}
			}
		})
	}
}

// TestExpect: a body that is not wanted is not asked for, and the connection ends.
func TestExpect(t *testing.T) {
	connection, err := net.Dial("tcp", wire(t, Options{}).Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(time.Minute))
	head := post("Expect: 100-continue\r\nContent-Length: 17\r\n")
	io.WriteString(connection, strings.Replace(head, "application/json", "text/plain", 1))
	a, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil || a.StatusCode != http.StatusUnsupportedMediaType || !a.Close {
		t.Errorf("%+v, %v", a, err)
	}
	// What comes all the same is no request.
	io.WriteString(connection, wireBody+"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if rest, err := io.ReadAll(connection); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") || bytes.Contains(rest, []byte("ok\n")) {
		t.Errorf("then %q, %v", rest, err)
	}
}

// TestHTTP2: the same answers by the other protocol, large ones, and limits.
func TestHTTP2(t *testing.T) {
	s := serverOf(open(t), Options{BodyLimit: 100_000})
	web := httptest.NewUnstartedServer(s)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	for _, c := range []struct {
		body   string
		status int
	}{
		{wireBody, http.StatusOK},
		{`{"input":["` + strings.Repeat(`a","`, 1000) + `b"]}`, http.StatusOK},
		{`{"input":"` + strings.Repeat("x", 200_000) + `"}`, http.StatusRequestEntityTooLarge},
		{`{"input":`, http.StatusBadRequest},
	} {
		for _, known := range []bool{true, false} { // the body's length
			var body io.Reader = strings.NewReader(c.body)
			if !known {
				body = io.MultiReader(body)
			}
			a, err := web.Client().Post(web.URL+"/v1/embeddings", "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(a.Body)
			a.Body.Close()
			if err != nil || a.ProtoMajor != 2 || a.StatusCode != c.status {
				t.Errorf("%.40s: %s %s, %v", c.body, a.Proto, a.Status, err)
			}
			if want := ask(s, "POST", "/v1/embeddings", c.body); !bytes.Equal(data, want.Body.Bytes()) {
				t.Errorf("%.40s: another answer than by HTTP/1.1", c.body)
			}
		}
	}
}
