package search

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledWriter kills a process that writes, at any moment: what it reported
// as added is there afterwards, and the index is whole.
func TestKilledWriter(t *testing.T) {
	if path := os.Getenv("M2EMBED_TEST_WRITER"); path != "" {
		writeForever(path)
	}
	times := 6
	if os.Getenv("M2EMBED_SOAK") != "" {
		times = 100
	}
	path := filepath.Join(t.TempDir(), "x.db")
	committed := 0
	for i := range times {
		child := exec.Command(os.Args[0], "-test.run", "^TestKilledWriter$")
		child.Env = append(os.Environ(), "M2EMBED_TEST_WRITER="+path, fmt.Sprint("M2EMBED_TEST_FIRST=", committed))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Every other one is killed only after it has added something, however slow
		// the machine is.
		lines := bufio.NewScanner(out)
		var timer *time.Timer
		kill := func() {
			timer = time.AfterFunc(time.Duration(150+37*i%200)*time.Millisecond, func() { child.Process.Kill() })
		}
		if i%2 == 1 {
			kill()
		}
		for first := true; lines.Scan(); first = false {
			if first && i%2 == 0 {
				kill()
			}
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "added %d", &n); err == nil {
				committed = n + 1
			} else if strings.Contains(lines.Text(), "failed") {
				t.Fatal(lines.Text())
			}
		}
		child.Wait()
		if timer != nil {
			timer.Stop()
		}
		ix, err := Open(path, Options{Embedder: bag{}, Space: "bag"})
		if err != nil {
			t.Fatalf("after %d kills: %v", i+1, err)
		}
		if err := ix.Check(context.Background()); err != nil {
			t.Fatalf("after %d kills: %v", i+1, err)
		}
		stamps, err := ix.Stamps(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for n := range committed {
			if stamps[fmt.Sprint("d", n)] == "" {
				t.Fatalf("after %d kills document %d of %d is lost", i+1, n, committed)
			}
		}
		if err := ix.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if committed == 0 {
		t.Error("no document was ever added")
	}
}

// writeForever adds documents until it is killed.
func writeForever(path string) {
	fail := func(err error) {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	ix, err := Open(path, Options{Embedder: bag{}, Space: "bag"})
	if err != nil {
		fail(err)
	}
	first := 0
	fmt.Sscan(os.Getenv("M2EMBED_TEST_FIRST"), &first)
	for n := first; ; n++ {
		d := Document{ID: fmt.Sprint("d", n), Text: strings.Repeat(fmt.Sprintf("The word w%d stands here. ", n), 200), Stamp: "s"}
		if n%5 == 4 { // and one that replaces another
			d.ID = fmt.Sprint("d", n/2)
		}
		if _, err := ix.Add(context.Background(), d, Document{ID: fmt.Sprint("d", n), Text: "x", Stamp: "s"}); err != nil {
			fail(err)
		}
		fmt.Println("added", n)
	}
}
