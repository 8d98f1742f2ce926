package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/host"
)

// secret is in every text, and must never be in a log.
const secret = "confidential"

// wanted are the vectors of texts, by model and text: as the model makes them and
// of unit length.
type wanted map[string]map[string][2][]float32

// texts are those that clients send: of some to some hundred tokens.
var texts = func() []string {
	list := []string{"a", ""}
	for i := range 30 {
		list = append(list, fmt.Sprintf("%s %d %s", secret, i, strings.Repeat("some words, naïve 東京 ", i*i/4)))
	}
	return list
}()

var longText = strings.Repeat(secret+" words ", 12000)

// makeWanted makes the vectors in this process.
func makeWanted() (wanted, error) {
	all := wanted{}
	for name, path := range map[string]string{"small": "", "tiny": tiny} {
		m, err := host.Open(path, host.Options{})
		if err != nil {
			return nil, err
		}
		list := texts
		if name == "small" {
			list = append(slices.Clone(texts), longText)
		}
		all[name] = map[string][2][]float32{}
		for _, text := range list {
			var both [2][]float32
			for i, normalize := range []core.Choice{core.ModelDefault, core.Yes} {
				r, err := m.EmbedInputs(context.Background(), core.Texts(text), core.Options{Normalize: normalize})
				if err != nil {
					return nil, err
				}
				both[i] = r[0].Vector
			}
			all[name][text] = both
		}
		if err := m.Close(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// The APIs that clients speak.
const (
	openAI = iota
	inBase64
	tei
	ollama
	apis
)

var paths = [apis]string{"/v1/embeddings", "/v1/embeddings", "/embed", "/api/embed"}

func request(api int, model string, input any) []byte {
	body := map[string]any{"model": model, "input": input}
	switch api {
	case inBase64:
		body["encoding_format"] = "base64"
	case tei:
		body = map[string]any{"model": model, "inputs": input}
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings
	}
	return data
}

// steady asks for some texts and compares the answer; a refusal is asked again.
func (l *life) steady() {
	api, model := rand.IntN(apis), []string{"small", "tiny"}[rand.IntN(2)]
	asked := make([]string, 1+rand.IntN(4))
	for i := range asked {
		asked[i] = texts[rand.IntN(len(texts))]
	}
	l.askFor(api, model, asked)
}

// long asks for the vector of a text of 24,000 tokens.
func (l *life) long() { l.askFor(openAI, "small", []string{longText}) }

// errBusy and errUnavailable are answers that a client must expect.
var (
	errBusy        = errors.New("status 429")
	errUnavailable = errors.New("status 503")
)

func (l *life) askFor(api int, model string, asked []string) {
	for {
		alive, present := l.alive.Load(), l.present.Load()
		err := l.check(l.client.Post("http://"+l.address+paths[api], "application/json", bytes.NewReader(request(api, model, asked))))(model, asked, api)
		switch {
		case err == nil:
			return
		case errors.Is(err, errBusy):
			l.refused.Add(1)
			time.Sleep(time.Second)
			continue
		case errors.Is(err, errUnavailable) && model == "tiny" && !(present && l.present.Load()):
			l.unavailable.Add(1)
			return
		case l.mortal && !(alive && l.alive.Load()) && !errors.Is(err, errWrong):
			time.Sleep(100 * time.Millisecond)
			return
		}
		l.problems.add("%s of %s: %v", paths[api], model, err)
		return
	}
}

// errWrong is an answer with something else than was asked for.
var errWrong = errors.New("a wrong answer")

// check compares an answer with what is wanted, to the bit.
func (l *life) check(r *http.Response, err error) func(model string, asked []string, api int) error {
	return func(model string, asked []string, api int) error {
		if err != nil {
			return err
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			return err
		case r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") != "":
			return errBusy
		case r.StatusCode == http.StatusServiceUnavailable && bytes.Contains(data, []byte("cannot be opened")):
			return errUnavailable
		case r.StatusCode != http.StatusOK:
			return fmt.Errorf("%s: %.300s", r.Status, data)
		}
		vectors, err := read(data, api)
		if err != nil || len(vectors) != len(asked) {
			return fmt.Errorf("%w: %d vectors of %d texts, %v", errWrong, len(vectors), len(asked), err)
		}
		unit := 0
		if api == tei || api == ollama {
			unit = 1
		}
		for i, text := range asked {
			if !slices.Equal(vectors[i], l.wanted[model][text][unit]) {
				return fmt.Errorf("%w: text %d of %d has another vector", errWrong, i, len(asked))
			}
		}
		l.answers.Add(1)
		return nil
	}
}

// read reads the vectors of an answer.
func read(data []byte, api int) (vectors [][]float32, err error) {
	switch api {
	case tei:
		return vectors, json.Unmarshal(data, &vectors)
	case ollama:
		var answer struct{ Embeddings [][]float32 }
		err := json.Unmarshal(data, &answer)
		return answer.Embeddings, err
	case openAI:
		var answer struct {
			Data []struct{ Embedding []float32 }
		}
		err := json.Unmarshal(data, &answer)
		for _, d := range answer.Data {
			vectors = append(vectors, d.Embedding)
		}
		return vectors, err
	}
	var answer struct{ Data []struct{ Embedding string } }
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	for _, d := range answer.Data {
		raw, err := base64.StdEncoding.DecodeString(d.Embedding)
		if err != nil {
			return nil, err
		}
		v := make([]float32, len(raw)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// dial connects without a client's manners, and is nil where that fails.
func (l *life) dial() net.Conn {
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		if l.alive.Load() && !l.mortal {
			l.problems.add("connect: %v", err)
		}
		return nil
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func header(path string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, length)
}

// leave sends a part of a request, or all of it, and goes.
func (l *life) leave() {
	if c := l.dial(); c != nil {
		body := request(openAI, "small", texts[:10])
		whole := header("/v1/embeddings", len(body)) + string(body)
		io.WriteString(c, whole[:rand.IntN(len(whole)+1)])
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		c.Close()
		l.left.Add(1)
	}
}

// slowWriter sends its request a few bytes at a time, and is answered.
func (l *life) slowWriter() {
	body := request(openAI, "small", []string{texts[5]})
	alive := l.alive.Load()
	r, w := io.Pipe()
	go func() {
		for part := range slices.Chunk(body, 20) {
			w.Write(part)
			time.Sleep(50 * time.Millisecond)
		}
		w.Close()
	}()
	err := l.check(l.client.Post("http://"+l.address+"/v1/embeddings", "application/json", r))("small", []string{texts[5]}, openAI)
	r.CloseWithError(io.ErrClosedPipe)
	if err != nil && !errors.Is(err, errBusy) && !(l.mortal && !(alive && l.alive.Load()) && !errors.Is(err, errWrong)) {
		l.problems.add("a slow writer: %v", err)
	}
}

// slowReader asks for much, reads a little of it slowly, and goes.
func (l *life) slowReader() {
	if c := l.dial(); c != nil {
		defer c.Close()
		body := request(openAI, "small", slices.Repeat([]string{"a"}, 2000))
		io.WriteString(c, header("/v1/embeddings", len(body))+string(body))
		part := make([]byte, 1<<10)
		for range 20 {
			if _, err := c.Read(part); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		l.left.Add(1)
	}
}

// garbage sends what is no request, or no good one, and reads what comes.
func (l *life) garbage() {
	c := l.dial()
	if c == nil {
		return
	}
	defer c.Close()
	noise := make([]byte, rand.IntN(2000))
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	path := slices.Concat(paths[:], []string{"/", "/tokenize", "/decode", "/similarity", "/v1/rerank", "/search", "/" + strings.Repeat("x", 3000)})[rand.IntN(apis+7)]
	kinds := [][]byte{noise, []byte(header(path, len(noise)) + string(noise)), []byte(header(path, 6) + `{"a":1`), []byte(header(path, 4000) + strings.Repeat("[", 4000))}
	if _, err := c.Write(kinds[rand.IntN(len(kinds))]); err != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	answer, _ := io.ReadAll(c)
	if bytes.Contains(answer, []byte(" 500 ")) {
		l.problems.add("%s: garbage is the server's fault: %.300s", path, answer)
	}
	l.left.Add(1)
}

// unfinished opens some bodies of 8 MB, sends all but their end, and goes.
func (l *life) unfinished() {
	var open []net.Conn
	part := []byte(strings.Repeat("x", 1<<16))
	for range 5 {
		if c := l.dial(); c != nil {
			defer c.Close()
			open = append(open, c)
			c.SetDeadline(time.Now().Add(2 * time.Second))
			io.WriteString(c, header("/v1/embeddings", 8<<20)+`{"input":"`)
			for range 127 {
				if _, err := c.Write(part); err != nil {
					break
				}
			}
		}
	}
	time.Sleep(time.Second)
	l.left.Add(int64(len(open)))
}
