package localfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// Openers returns the other processes that have one of the files open, as far as this
// process may look at them: those of the same user, as a rule.
func Openers(paths ...string) []Process {
	names := map[string]bool{}
	var files []os.FileInfo
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			names[filepath.Base(path)] = true
			files = append(files, info)
		}
	}
	var found []Process
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		folder := filepath.Dir(stat)
		id, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || id == os.Getpid() || !hasOpen(folder, names, files) {
			continue
		}
		text, err := os.ReadFile(stat) // "12 (any) thing)) T …"
		if end := bytes.LastIndex(text, []byte(") ")); err == nil && end >= 0 && end+2 < len(text) {
			found = append(found, Process{id, text[end+2]})
		}
	}
	return found
}

// hasOpen reports whether the process with this folder in /proc has one of files open.
// It looks at a descriptor itself only if the name fits: a look at any other file could
// wait for a server.
func hasOpen(folder string, names map[string]bool, files []os.FileInfo) bool {
	descriptors, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return false
	}
	for _, d := range descriptors {
		path := folder + "/fd/" + d.Name()
		target, err := os.Readlink(path)
		if err != nil || !names[filepath.Base(target)] {
			continue
		}
		info, err := os.Stat(path)
		for _, file := range files {
			if err == nil && os.SameFile(info, file) {
				return true
			}
		}
	}
	return false
}
