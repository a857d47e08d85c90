package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// preallocated is how much of the log is written before the run; the log starts again at its front when it is full,
// as a write-ahead log does.
const preallocated = 64 << 20

// floorEntries are the limit: one file, one write and one sync for whoever waits, and nothing else.
func floorEntries() []entry {
	return []entry{
		{name: "log-preallocated", label: "raw log, preallocated, fdatasync", group: groupFloor,
			make: func(spec) subject { return &rawLog{allocate: true, sync: dataSync} }},
		{name: "log-growing", label: "raw log, growing, fsync", group: groupFloor,
			make: func(spec) subject { return &rawLog{sync: (*os.File).Sync} }},
	}
}

// rawLog appends records to one file. A pair is two records: the payload, then the outcome. Nothing is indexed,
// checked or ever found again.
type rawLog struct {
	allocate bool
	sync     func(*os.File) error

	file *os.File
	at   int64
	buf  []byte // one write for a whole batch
	c    committer
	pool sync.Pool
}

func (l *rawLog) Open(dir string, _ int) error {
	f, err := os.OpenFile(filepath.Join(dir, "raw.log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l.file = f
	l.c = committer{flush: l.flush, turns: 8}
	l.pool.New = func() any { return &waiter{answer: make(chan error, 1)} }
	if l.allocate {
		// Real zeros: blocks that are only reserved change the file's metadata when they are first written.
		zeros := make([]byte, 1<<20)
		for range preallocated / len(zeros) {
			if _, err := f.Write(zeros); err != nil {
				return err
			}
		}
	}
	return f.Sync()
}

func (l *rawLog) Pair(_ context.Context, i int) error {
	if err := l.append(payload(i)); err != nil {
		return err
	}
	return l.append(outcome(i))
}

func (l *rawLog) append(body string) error {
	w := l.pool.Get().(*waiter)
	w.record = binary.LittleEndian.AppendUint64(w.record[:0], uint64(len(body)))
	w.record = append(w.record, body...)
	err := l.c.commit(w)
	l.pool.Put(w)
	return err
}

func (l *rawLog) flush(records [][]byte) error {
	l.buf = l.buf[:0]
	for _, r := range records {
		l.buf = append(l.buf, r...)
	}
	if l.allocate && l.at+int64(len(l.buf)) > preallocated {
		l.at = 0
	}
	if _, err := l.file.WriteAt(l.buf, l.at); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	l.at += int64(len(l.buf))
	if err := l.sync(l.file); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func (l *rawLog) Close() error { return l.file.Close() }
