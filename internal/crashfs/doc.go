// Package crashfs is a file system for tests that tells what a disk may hold when the power fails.
//
// A directory that Mount mounts (through FUSE, on Linux) passes everything on to another one and notes each change. Crash then writes
// what may be left after any of them, by the rules of POSIX's fsync:
//
//   - What is written to a file is sure only after an fsync of the file. Before that each write may be there or not, whether or not the
//     file has its new length; what is not there reads as zeros.
//   - That a name was made, renamed or removed is sure only after an fsync of a folder. Before that the changes of names that are there
//     are the first ones, in their order, as journals of file systems keep it.
package crashfs
