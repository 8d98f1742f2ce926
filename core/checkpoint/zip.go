package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"m2embed/core/short"
)

// zipEntry is one member of a zip file, as its central directory tells.
type zipEntry struct {
	name   string
	header int64 // offset of the local header
	size   int64 // bytes of data
	method uint16
	flags  uint16
}

const (
	zipLocalHeader     = "PK\x03\x04"
	zipDirectoryHeader = "PK\x01\x02"
	zipDirectoryEnd    = "PK\x05\x06"
	zip64DirectoryEnd  = "PK\x06\x06"
	zip64Locator       = "PK\x06\x07"

	zipDirectoryEndSize   = 22
	zipDirectoryEntrySize = 46
	zipLocalHeaderSize    = 30
	zip64LocatorSize      = 20
	zip64DirectoryEndSize = 56
)

// zipEntryCost is the memory that an entry takes.
const zipEntryCost = 160

// readZipDirectory reads the central directory, by name. Only what is needed
// for the files of torch.save is known: stored entries and the zip64 fields.
func readZipDirectory(f *File) (map[string]zipEntry, error) {
	offset, size, err := findZipDirectory(f)
	if err != nil {
		return nil, err
	}
	if offset < 0 || size < 0 || offset > f.size-size {
		return nil, fmt.Errorf("zip directory of %d bytes at %d lies outside the file of %d", size, offset, f.size)
	}
	directory, err := f.read(offset, size)
	if err != nil {
		return nil, fmt.Errorf("zip directory: %w", err)
	}
	entries := map[string]zipEntry{}
	for len(directory) > 0 {
		e, length, err := parseZipEntry(directory)
		if err != nil {
			return nil, fmt.Errorf("zip directory, entry %d: %w", len(entries), err)
		}
		if _, ok := entries[e.name]; ok {
			return nil, fmt.Errorf("zip directory: two entries are called %s", short.Quote(e.name))
		}
		entries[e.name] = e
		if err := f.spend(len(e.name) + zipEntryCost); err != nil {
			return nil, err
		}
		directory = directory[length:]
	}
	return entries, nil
}

// findZipDirectory returns offset and size of the central directory.
func findZipDirectory(f *File) (offset, size int64, err error) {
	errCut := errors.New("no zip directory at the end: the file is cut or was not downloaded completely")
	tailSize := min(f.size, zipDirectoryEndSize+math.MaxUint16)
	tail, err := f.read(f.size-tailSize, tailSize)
	if err != nil {
		return 0, 0, err
	}
	at := -1
	for end := len(tail); ; {
		at = bytes.LastIndex(tail[:end], []byte(zipDirectoryEnd))
		if at < 0 {
			return 0, 0, errCut
		}
		// A comment that fills the rest of the file belongs to a real end.
		if at+zipDirectoryEndSize <= len(tail) &&
			at+zipDirectoryEndSize+int(binary.LittleEndian.Uint16(tail[at+20:])) == len(tail) {
			break
		}
		end = at
	}
	size = int64(binary.LittleEndian.Uint32(tail[at+12:]))
	offset = int64(binary.LittleEndian.Uint32(tail[at+16:]))
	if size != math.MaxUint32 && offset != math.MaxUint32 && binary.LittleEndian.Uint16(tail[at+10:]) != math.MaxUint16 {
		return offset, size, nil
	}
	if at < zip64LocatorSize || string(tail[at-zip64LocatorSize:][:4]) != zip64Locator {
		return offset, size, nil // the numbers happen to be the largest
	}
	where := binary.LittleEndian.Uint64(tail[at-zip64LocatorSize+8:])
	if where > math.MaxInt64 {
		return 0, 0, errCut
	}
	end, err := f.read(int64(where), zip64DirectoryEndSize)
	if err != nil || string(end[:4]) != zip64DirectoryEnd {
		return 0, 0, errCut
	}
	wideSize, wideOffset := binary.LittleEndian.Uint64(end[40:]), binary.LittleEndian.Uint64(end[48:])
	if wideSize > math.MaxInt64 || wideOffset > math.MaxInt64 {
		return 0, 0, errCut
	}
	return int64(wideOffset), int64(wideSize), nil
}

// parseZipEntry reads one entry of the central directory and its length.
func parseZipEntry(b []byte) (zipEntry, int, error) {
	if len(b) < zipDirectoryEntrySize || string(b[:4]) != zipDirectoryHeader {
		return zipEntry{}, 0, errors.New("not a directory entry")
	}
	nameLength := int(binary.LittleEndian.Uint16(b[28:]))
	extraLength := int(binary.LittleEndian.Uint16(b[30:]))
	commentLength := int(binary.LittleEndian.Uint16(b[32:]))
	length := zipDirectoryEntrySize + nameLength + extraLength + commentLength
	if length > len(b) {
		return zipEntry{}, 0, errors.New("the entry is cut")
	}
	e := zipEntry{
		name:   string(b[zipDirectoryEntrySize:][:nameLength]),
		flags:  binary.LittleEndian.Uint16(b[8:]),
		method: binary.LittleEndian.Uint16(b[10:]),
	}
	stored := int64(binary.LittleEndian.Uint32(b[20:]))
	e.size = int64(binary.LittleEndian.Uint32(b[24:]))
	e.header = int64(binary.LittleEndian.Uint32(b[42:]))
	// The zip64 extra field holds, in this order, those numbers that do not
	// fit 32 bits.
	extra := zip64Extra(b[zipDirectoryEntrySize+nameLength:][:extraLength])
	for _, n := range []*int64{&e.size, &stored, &e.header} {
		if *n != math.MaxUint32 {
			continue
		}
		if len(extra) < 8 {
			return zipEntry{}, 0, fmt.Errorf("%s lacks its zip64 sizes", short.Quote(e.name))
		}
		wide := binary.LittleEndian.Uint64(extra)
		if wide > math.MaxInt64 {
			return zipEntry{}, 0, fmt.Errorf("%s claims %d bytes", short.Quote(e.name), wide)
		}
		*n = int64(wide)
		extra = extra[8:]
	}
	if e.method == 0 && stored != e.size {
		return zipEntry{}, 0, fmt.Errorf("%s is stored, but claims %d bytes in %d", short.Quote(e.name), e.size, stored)
	}
	return e, length, nil
}

// zip64Extra finds the zip64 field among the extra fields.
func zip64Extra(extra []byte) []byte {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return nil
		}
		if id == 1 {
			return extra[4:][:n]
		}
		extra = extra[4+n:]
	}
	return nil
}

// dataOffset returns where the data of an entry begin. Compressed entries are
// refused: torch.save never writes them, and so no entry can grow.
func (e zipEntry) dataOffset(f *File) (int64, error) {
	if e.method != 0 {
		return 0, fmt.Errorf("zip entry %s is compressed (method %d); torch.save stores its entries", short.Quote(e.name), e.method)
	}
	if e.flags&1 != 0 {
		return 0, fmt.Errorf("zip entry %s is encrypted", short.Quote(e.name))
	}
	header, err := f.read(e.header, zipLocalHeaderSize)
	if err != nil || string(header[:4]) != zipLocalHeader {
		return 0, fmt.Errorf("zip entry %s has no header at %d", short.Quote(e.name), e.header)
	}
	offset := e.header + zipLocalHeaderSize +
		int64(binary.LittleEndian.Uint16(header[26:])) + int64(binary.LittleEndian.Uint16(header[28:]))
	if offset > f.size-e.size {
		return 0, fmt.Errorf("zip entry %s claims %d bytes at %d of a file of %d", short.Quote(e.name), e.size, offset, f.size)
	}
	return offset, nil
}
