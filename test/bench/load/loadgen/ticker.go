package main

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ticker is a kernel timer. Go's own timers round a wait of less than a millisecond up to one when the process is otherwise idle,
// which is longer than the calls that are measured.
type ticker struct {
	file   *os.File
	period time.Duration
	next   time.Time
}

func newTicker(period time.Duration) (*ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	each := unix.NsecToTimespec(period.Nanoseconds())
	next := time.Now().Add(period)
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &ticker{file: os.NewFile(uintptr(fd), "timerfd"), period: period, next: next}, nil
}

// wait returns the moments that have come due, one for each period that passed since the last wait.
func (t *ticker) wait() ([]time.Time, error) {
	var buffer [8]byte
	if _, err := t.file.Read(buffer[:]); err != nil {
		return nil, err
	}
	due := make([]time.Time, 0, 1)
	for range binary.NativeEndian.Uint64(buffer[:]) {
		due = append(due, t.next)
		t.next = t.next.Add(t.period)
	}
	return due, nil
}

func (t *ticker) close() { _ = t.file.Close() }
