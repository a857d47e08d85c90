// Package localfs answers questions about local files that package os does not
// answer, and makes files durable: on which kind of file system a directory is,
// whether a path still leads to the same file, whether this process has a file open,
// and whether a file has hard links.
package localfs
