package checkpoint

import "errors"

var legacyMagic = []byte{0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

func readTorchZip(f *File) ([]*entry, error)    { return nil, errors.New("this format is not supported yet") }
func readTorchLegacy(f *File) ([]*entry, error) { return nil, errors.New("this format is not supported yet") }
