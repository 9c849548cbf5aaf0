// Package dir is the artifact store in a local folder: every write is a synced temporary file that is renamed, so a name holds whole bytes or nothing.
//
// Beside the objects the folder has one reserved name, ".salescast": temporary files, which a killed process may leave there, and the
// lock that makes Replace a compare-and-swap between processes of one machine.
package dir
