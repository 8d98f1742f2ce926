package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSpareThreads: Go has threads more than processors beside long texts only, and
// engines have as many as there are processors, also those that are opened then.
func TestSpareThreads(t *testing.T) {
	address, _ := serveProcess(t, []string{"GOMAXPROCS=3"}, "--pprof", "--model", "first=", "--model", "second=../../../testdata/tiny")
	read := func(path string) string {
		t.Helper()
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ask := func(model, text string) {
		r, err := http.Post("http://"+address+"/v1/embeddings", "application/json", strings.NewReader(`{"model":"`+model+`","input":"`+text+`"}`))
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", model, r.Status)
		}
	}
	threads := func(want string) {
		t.Helper()
		got := ""
		for range 1000 {
			_, rest, _ := strings.Cut(read("/metrics"), "\nm2embed_go_threads ")
			if got, _, _ = strings.Cut(rest, "\n"); got == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s threads of Go's, want %s", got, want)
	}
	threads("3")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ask("first", strings.Repeat("long ", 200_000))
	}()
	threads("7")
	ask("second", "short")
	<-ended
	threads("3")
	// Both models' helpers, beside the thread that calls.
	helpers := strings.Count(read("/debug/pprof/goroutine?debug=2"), "model.(*workers).help(")
	if helpers != 4 {
		t.Errorf("%d threads beside those that call, want 2 of each model", helpers)
	}
}
