// Package spool keeps runs and registered models in local append-only files, and replays them to another tracker later.
//
// # Format salescast.spool/v1
//
//	<folder>/FORMAT                      the line "salescast.spool/v1"
//	<folder>/runs/<key>/log.jsonl        what was recorded, in order
//	<folder>/runs/<key>/files/<sha256>   contents of artifacts
//	<folder>/runs/<key>/synced.json      up to where the log was replayed, and as which run
//	<folder>/registry.jsonl              versions and aliases of models
//	<folder>/registry.synced.json        up to where that was replayed
//	<folder>/locks/                      empty files that processes lock
//	<folder>/incoming/                   artifacts that are being written
//
// A log is a sequence of lines, each a JSON object:
//
//	{"seq":1,"op":"start","body":{...},"sum":"1c291ca3"}
//
// seq counts from 1. sum is the CRC-32C, in hex, of the sum of the line before (nothing for the first), the decimal seq, the op and
// the body's bytes, so that a line changed, lost or moved is noticed. Times are milliseconds since 1970, NaN is the string "NaN".
// A last line that is torn, as a process that is killed leaves it, is cut off by the next writer and passed over by readers; a bad
// line before the last is ErrCorrupt.
//
// Several processes may write to one log: each line is appended under a lock on the file. Lines reach the disk before Start,
// Artifact, End and Close return; between these they are in the hands of the operating system, so a killed process loses none.
//
// A registry may also be an object, registry.jsonl, of a store, with the same lines: a writer replaces what it has read by that and
// its own lines, or, where another was quicker, reads and decides again.
package spool
