package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// soname returns the name that a shared library gives itself.
func soname(lib []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(lib))
	if err != nil {
		return "", err
	}
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil || len(names) != 1 {
		return "", fmt.Errorf("no SONAME: %w", err)
	}
	return names[0], nil
}

// renameString replaces a string of the dynamic string table in place. The new one must not be longer and the old one must stand
// there once: then no offset changes, and SONAME, NEEDED and symbol-version entries follow together.
func renameString(lib []byte, from, to string) error {
	f, err := elf.NewFile(bytes.NewReader(lib))
	if err != nil {
		return err
	}
	s := f.Section(".dynstr")
	if s == nil || s.Offset+s.Size > uint64(len(lib)) {
		return errors.New("no dynamic string table")
	}
	table := lib[s.Offset : s.Offset+s.Size]
	old := append(append([]byte{0}, from...), 0)
	if len(to) > len(from) || bytes.Count(table, old) != 1 {
		return fmt.Errorf("%q stands %d times in the dynamic string table; want once, and a new name no longer", from, bytes.Count(table, old))
	}
	at := bytes.Index(table, old) + 1
	clear(table[at : at+len(from)])
	copy(table[at:], to)
	return nil
}

// strip drops what the loader never maps: symbols, debugging data and the section table. Bytes between two segments become zero and
// those after the last one go, so that it works for any architecture without binutils.
func strip(lib []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(lib))
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return nil, errors.New("not a 64-bit little-endian ELF file")
	}
	var end uint64
	for _, p := range f.Progs {
		if p.Filesz > 0 && p.Type != elf.PT_GNU_STACK {
			end = max(end, p.Off+p.Filesz)
		}
	}
	if end > uint64(len(lib)) {
		return nil, fmt.Errorf("a segment ends at byte %d of %d", end, len(lib))
	}
	out := make([]byte, end)
	for _, p := range f.Progs {
		copy(out[p.Off:p.Off+p.Filesz], lib[p.Off:])
	}
	// The ELF header's fields about sections: e_shoff, e_shentsize, e_shnum, e_shstrndx.
	binary.LittleEndian.PutUint64(out[0x28:], 0)
	clear(out[0x3a:0x40])
	return out, nil
}
