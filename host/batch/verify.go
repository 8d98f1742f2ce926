package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ReadManifest reads a folder's manifest.
//
// # Errors
//
// fs.ErrNotExist where there is none, because a run is not done; one that is
// damaged or of another version.
func ReadManifest(folder string) (*Manifest, error) {
	name := filepath.Join(folder, manifestName)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var m Manifest
	if err := json.NewDecoder(io.LimitReader(f, 1<<28)).Decode(&m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	if m.Version != version {
		return nil, fmt.Errorf("%s is of version %d, want %d", name, m.Version, version)
	}
	return &m, nil
}

// Verify checks that a folder is whole: every file of the manifest has its bytes,
// and there are no others.
func Verify(ctx context.Context, folder string) (*Manifest, error) {
	m, err := ReadManifest(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: no run into it was finished", folder, manifestName)
	}
	if err != nil {
		return nil, err
	}
	known := map[string]bool{manifestName: true, workName: true, lockName: true}
	var total Counts
	for _, s := range m.Parts {
		total.add(s.Counts)
		for _, f := range s.Files {
			if known[f.Name] || f.Name != filepath.Base(f.Name) || strings.ContainsAny(f.Name, `/\`) {
				return nil, fmt.Errorf("%s names the file %q", manifestName, short(f.Name))
			}
			known[f.Name] = true
			if err := verifyFile(ctx, folder, f); err != nil {
				return nil, err
			}
		}
	}
	if total != m.Total {
		return nil, fmt.Errorf("the counts of %s do not add up", manifestName)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !known[e.Name()] {
			return nil, fmt.Errorf("%s holds %s, which is not in %s", folder, short(e.Name()), manifestName)
		}
	}
	return m, nil
}

func verifyFile(ctx context.Context, folder string, want File) error {
	name := filepath.Join(folder, want.Name)
	has, err := digest(ctx, name)
	if err != nil {
		return err
	}
	if has.Bytes != want.Bytes {
		return fmt.Errorf("%s has %d bytes, %s says %d", name, has.Bytes, manifestName, want.Bytes)
	}
	if has.SHA256 != want.SHA256 {
		return fmt.Errorf("%s is not as it was written: its SHA-256 begins %s, %s says %s", name, has.SHA256[:12], manifestName, short(want.SHA256)[:min(12, len(want.SHA256))])
	}
	return nil
}
