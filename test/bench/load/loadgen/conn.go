package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamWindow     = 4 << 20 // what we let the other side send on one stream before we give it back
	connectionWindow = 16 << 20
	defaultWindow    = 65535 // RFC 9113 §6.9.2
	maxFrame         = 16384 // RFC 9113 §4.2: every peer takes this much
)

// conn is one HTTP/2 connection: a reader that checks answers and a writer that writes calls, one write each.
type conn struct {
	// Immutable.
	fleet *fleet
	again bool // a call that ends starts another
	wire  net.Conn
	wake  chan struct{} // the writer has something to do
	// downloaded gets a value when a download has ended.
	downloaded chan struct{}

	// Owned by the reader.
	framer     *http2.Framer
	decoder    *hpack.Decoder
	reading    *call // whose header block is being decoded; nil: nobody's
	unreported int

	// Owned by the writer.
	head   *head
	packet []byte
	nextID uint32

	mutex       sync.Mutex // of everything below
	number      uint64
	calls       map[uint32]*call
	ready       []*call // to be started
	blocked     []*call // started, and waiting for window
	free        []*call
	control     []byte // frames that are to go out before anything else
	window      int64
	peerWindow  int64 // the other side's SETTINGS_INITIAL_WINDOW_SIZE
	peerStreams int
	peerTable   *uint32 // its SETTINGS_HEADER_TABLE_SIZE, until the writer has heard of it
	dead        error
	latencies   []time.Duration
	late        []time.Duration
	bytes       uint64
	failures    map[string]int
}

func newConn(f *fleet) (*conn, error) {
	wire, err := net.DialTimeout("tcp", f.options.target, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &conn{
		fleet: f, wire: wire, wake: make(chan struct{}, 1), downloaded: make(chan struct{}, 1),
		framer: http2.NewFramer(nil, bufio.NewReaderSize(wire, 64<<10)),
		head:   newHead(f.options.authority, f.options.varying), nextID: 1,
		calls: map[uint32]*call{}, window: defaultWindow, peerWindow: defaultWindow, peerStreams: 1 << 30,
		failures: map[string]int{},
	}
	c.framer.SetReuseFrames()
	c.decoder = hpack.NewDecoder(4096, c.field)
	hello := []byte(http2.ClientPreface)
	hello = appendFrame(hello, http2.FrameSettings, 0, 0, 6)
	hello = binary.BigEndian.AppendUint16(hello, uint16(http2.SettingInitialWindowSize))
	hello = binary.BigEndian.AppendUint32(hello, streamWindow)
	hello = appendWindowUpdate(hello, 0, connectionWindow-defaultWindow)
	if _, err := wire.Write(hello); err != nil {
		_ = wire.Close()
		return nil, err
	}
	go c.read()
	go c.write()
	return c, nil
}

func (c *conn) close() {
	c.mutex.Lock()
	c.dead = net.ErrClosed
	c.mutex.Unlock()
	_ = c.wire.Close()
	c.notify()
}

// start queues a call that was due at that moment.
func (c *conn) start(due time.Time) {
	c.mutex.Lock()
	var next *call
	if last := len(c.free) - 1; last >= 0 {
		next, c.free = c.free[last], c.free[:last]
	} else {
		next = newUnary(c.fleet.options.size)
	}
	c.queue(next, due)
	c.mutex.Unlock()
	c.notify()
}

func (c *conn) startDownload(request []byte, size uint64) {
	c.mutex.Lock()
	c.queue(newDownload(request, size), time.Now())
	c.mutex.Unlock()
	c.notify()
}

// queue needs the mutex.
func (c *conn) queue(next *call, due time.Time) {
	c.number++
	next.reset(due, c.number)
	if c.dead != nil {
		c.failures["connection lost: "+c.dead.Error()]++
		return
	}
	c.ready = append(c.ready, next)
}

// notify wakes the writer.
func (c *conn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// busy is the number of calls that have not ended.
func (c *conn) busy() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.calls) + len(c.ready)
}

// abandon counts the calls that never ended as failures.
func (c *conn) abandon() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if busy := len(c.calls) + len(c.ready); busy > 0 {
		c.failures["did not end"] += busy
	}
}

// lose ends the connection and fails what was in flight on it.
func (c *conn) lose(reason error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.dead != nil {
		return
	}
	c.dead = reason
	if lost := len(c.calls) + len(c.ready); lost > 0 {
		c.failures["connection lost: "+reason.Error()] += lost
	}
	clear(c.calls)
	c.ready, c.blocked = nil, nil
	_ = c.wire.Close()
	c.notify()
	select {
	case c.downloaded <- struct{}{}:
	default:
	}
}

var errGoAway = errors.New("the other side sent GOAWAY")
