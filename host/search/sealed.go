package search

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// errSealed is bytes that are not those that were written.
var errSealed = fmt.Errorf("%w, the file is damaged: bytes in it have changed; delete it and index anew", ErrDamaged)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed are bytes that lie in the file with their CRC-32C behind them, 4 bytes: SQLite
// itself does not notice changed ones. No bytes have no sum.
type sealed []byte

// Value is what is written, see [driver.Valuer].
func (s sealed) Value() (driver.Value, error) {
	if len(s) == 0 {
		return []byte{}, nil
	}
	return binary.LittleEndian.AppendUint32(s[:len(s):len(s)], crc32.Checksum(s, castagnoli)), nil
}

// Scan takes what was read, and compares the sum.
func (s *sealed) Scan(from any) error {
	switch from := from.(type) {
	case nil:
		*s = nil
		return nil
	case []byte:
		n := len(from) - 4
		if len(from) == 0 {
			*s = (*s)[:0]
			return nil
		}
		if n <= 0 || crc32.Checksum(from[:n], castagnoli) != binary.LittleEndian.Uint32(from[n:]) {
			return errSealed
		}
		*s = append([]byte(nil), from[:n]...)
		return nil
	}
	return errSealed
}
