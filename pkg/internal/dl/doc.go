// Package dl finds, unpacks and opens the shared libraries of the engines, and explains what is missing.
//
// A library comes from the first of these that has it: the folder the caller names (then nothing else is searched), the files embedded in
// the binary (build tag "engines", unpacked once into the caller's cache folder), an installed Python package. Nothing is read or opened
// before Open is called.
//
// A binary without cgo still needs the C library's loader: opening works where glibc 2.27 or newer is, not on musl.
package dl
