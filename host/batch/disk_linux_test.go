package batch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk runs a job on a disk that is full while it reads, while it writes
// vectors, and when it ends: each time an error that says so and a folder that does
// not pass for a whole one; with more room the same job goes on.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	resize := func(kilobytes int, flags uintptr) error {
		return syscall.Mount("tmpfs", disk, "tmpfs", flags, fmt.Sprintf("size=%dk", kilobytes))
	}
	if err := resize(40, 0); err != nil {
		t.Skipf("a disk of its own cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	var lines strings.Builder
	for i := range 200 {
		fmt.Fprintf(&lines, `{"id":"document-%d","text":"%s"}`+"\n", i, strings.Repeat("some words ", 20))
	}
	in := put(t, filepath.Join(t.TempDir(), "in.jsonl"), lines.String())
	e := openSmall(t, Options{MaxLength: 8})
	r := Request{Inputs: []string{in}, Folder: filepath.Join(disk, "out"), Format: "jsonl", Shards: 3}
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "out") || strings.Contains(err.Error(), ".tmp") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Verify(context.Background(), r.Folder); err == nil || !strings.Contains(err.Error(), "no run into it was finished") {
			t.Errorf("%s: the folder passes for a whole one: %v", what, err)
		}
	}
	_, err := Prepare(context.Background(), e, r)
	full("while it reads", err)
	if left, err := os.ReadDir(disk); err != nil || len(left) != 0 {
		t.Errorf("the disk holds %v, %v", left, err)
	}
	for _, kilobytes := range []int{120, 400, 650} {
		if err := resize(kilobytes, syscall.MS_REMOUNT); err != nil {
			t.Fatal(err)
		}
		j, err := Prepare(context.Background(), e, r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Run(context.Background(), e, func(Progress) {})
		full(fmt.Sprint("with ", kilobytes, " kB"), err)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if done(r.Folder) == 0 {
		t.Error("no shard was done before the disk was full")
	}
	if err := resize(8000, syscall.MS_REMOUNT); err != nil {
		t.Fatal(err)
	}
	m := job(t, e, r)
	r.Folder = filepath.Join(t.TempDir(), "out")
	if roomy := job(t, e, r); !reflect.DeepEqual(m, roomy) {
		t.Error("bytes depend on a full disk")
	}
	if _, err := Verify(context.Background(), filepath.Join(disk, "out")); err != nil {
		t.Error(err)
	}
}
