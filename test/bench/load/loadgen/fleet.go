package main

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// settleLimit is how long calls in flight at the end of the measured window get to finish: they are waited for, because a client that
// cancels its last calls would measure how a proxy takes cancels.
const settleLimit = 5 * time.Second

// fleet is all connections of one run and what they share.
type fleet struct {
	options   options
	conns     []*conn
	measuring atomic.Bool // calls that end while it is set count
	stopping  atomic.Bool // no further call starts
}

func dial(o options) (*fleet, error) {
	f := &fleet{options: o}
	for range o.connections {
		c, err := newConn(f)
		if err != nil {
			f.close()
			return nil, err
		}
		f.conns = append(f.conns, c)
	}
	return f, nil
}

func (f *fleet) close() {
	for _, c := range f.conns {
		c.close()
	}
}

// closed keeps every stream of every connection busy.
func (f *fleet) closed() (*result, error) {
	for _, c := range f.conns {
		c.again = true
		for range f.options.streams {
			c.start(time.Now())
		}
	}
	return f.measure()
}

// open starts calls at the fixed rate, over the connections in turn.
func (f *fleet) open() (*result, error) {
	ticks, err := newTicker(time.Second / time.Duration(f.options.rate))
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	defer ticks.close()
	failed := make(chan error, 1)
	go func() {
		for next := 0; !f.stopping.Load(); {
			due, err := ticks.wait()
			if err != nil {
				failed <- err
				return
			}
			for _, at := range due {
				f.conns[next%len(f.conns)].start(at)
				next++
			}
		}
		failed <- nil
	}()
	result, err := f.measure()
	if err != nil {
		return nil, err
	}
	return result, <-failed
}

// measure lets the calls run through warm-up and window, then waits for those in flight.
func (f *fleet) measure() (*result, error) {
	time.Sleep(f.options.warmup)
	cpu, begun, err := f.begin()
	if err != nil {
		return nil, err
	}
	time.Sleep(f.options.duration)
	used, took, err := f.end(cpu, begun)
	if err != nil {
		return nil, err
	}
	f.stopping.Store(true)
	f.settle()
	return f.collect(used, took), nil
}

// download reads a small answer to warm up, then the large one.
func (f *fleet) download() (*result, error) {
	c := f.conns[0]
	for _, size := range []uint64{min(32<<20, f.options.download), f.options.download} {
		request := binary.BigEndian.AppendUint64(nil, size)
		last := size == f.options.download
		var cpu time.Duration
		var begun time.Time
		var err error
		if last {
			if cpu, begun, err = f.begin(); err != nil {
				return nil, err
			}
		}
		c.startDownload(request, size)
		select {
		case <-c.downloaded:
		case <-time.After(2 * time.Minute):
			return nil, fmt.Errorf("a download of %d bytes did not end within two minutes", size)
		}
		if last {
			used, took, err := f.end(cpu, begun)
			if err != nil {
				return nil, err
			}
			return f.collect(used, took), nil
		}
	}
	return nil, nil
}

func (f *fleet) begin() (time.Duration, time.Time, error) {
	cpu, err := cpuTime(f.options.cpuOf)
	f.measuring.Store(true)
	return cpu, time.Now(), err
}

func (f *fleet) end(cpu time.Duration, begun time.Time) (used, took time.Duration, err error) {
	f.measuring.Store(false)
	took = time.Since(begun)
	now, err := cpuTime(f.options.cpuOf)
	return now - cpu, took, err
}

func (f *fleet) settle() {
	for deadline := time.Now().Add(settleLimit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		busy := 0
		for _, c := range f.conns {
			busy += c.busy()
		}
		if busy == 0 {
			return
		}
	}
	for _, c := range f.conns {
		c.abandon()
	}
}

// cpuTime is the user and system time of the processes so far, over all their threads including those that ended: the sum that
// /proc/PID/stat shows in hundredths of a second, here in nanoseconds (the CPU clock of a process: clock_getcpuclockid(3)).
func cpuTime(pids []int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		var spent unix.Timespec
		const scheduler = 2 // CPUCLOCK_SCHED
		if err := unix.ClockGettime(int32(^pid<<3|scheduler), &spent); err != nil {
			return 0, fmt.Errorf("cpu time of process %d: %w", pid, err)
		}
		total += time.Duration(spent.Nano())
	}
	return total, nil
}
