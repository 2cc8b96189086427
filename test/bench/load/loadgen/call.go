package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"outrigger.test/load/pattern"
)

const prefixSize = 5 // of a gRPC message: a flag and the length

const (
	unaryPath    = "/bench.Echo/Unary"
	downloadPath = "/bench.Echo/Download"
)

// call is one exchange. Calls are reused, for the generator must cost less than what it measures.
type call struct {
	// Set before it is written.
	id      uint32
	path    string
	message []byte    // the request with its prefix
	due     time.Time // when it was meant to start
	answer  answer

	// Owned by whoever holds the connection's mutex.
	sent   int
	window int64

	// Owned by the reader.
	got        uint64
	unreported int // bytes read that no WINDOW_UPDATE has given back yet
	wrong      bool
	httpStatus string
	grpcStatus string
	grpcText   string
}

// answer says which bytes have to come back: the cycle over and over, length bytes in all.
type answer struct {
	cycle  []byte
	length uint64
}

// newUnary makes a call whose message is size bytes; renumber makes it another one.
func newUnary(size int) *call {
	c := &call{path: unaryPath, message: make([]byte, prefixSize, prefixSize+size)}
	binary.BigEndian.PutUint32(c.message[1:], uint32(size))
	c.message = append(c.message, pattern.Bytes(size)...)
	c.answer = answer{cycle: c.message, length: uint64(len(c.message))}
	return c
}

// newDownload makes a call that asks for size bytes.
func newDownload(request []byte, size uint64) *call {
	c := &call{path: downloadPath, message: make([]byte, prefixSize, prefixSize+len(request))}
	binary.BigEndian.PutUint32(c.message[1:], uint32(len(request)))
	c.message = append(c.message, request...)
	cycle := make([]byte, prefixSize, prefixSize+pattern.Size)
	binary.BigEndian.PutUint32(cycle[1:], pattern.Size)
	c.answer = answer{cycle: append(cycle, pattern.New()...), length: size + size/pattern.Size*prefixSize}
	return c
}

// reset makes the call ready to be written again; number makes its message different from every other one in flight.
func (c *call) reset(due time.Time, number uint64) {
	c.due, c.sent, c.got, c.unreported, c.wrong = due, 0, 0, 0, false
	c.httpStatus, c.grpcStatus, c.grpcText = "", "", ""
	if c.path == unaryPath {
		binary.BigEndian.PutUint64(c.message[prefixSize:], number)
	}
}

// check compares bytes of the answer with what they have to be.
func (c *call) check(data []byte) {
	for len(data) > 0 && !c.wrong {
		rest := c.answer.cycle[c.got%uint64(len(c.answer.cycle)):]
		n := min(len(data), len(rest))
		c.wrong = c.got+uint64(n) > c.answer.length || !bytes.Equal(data[:n], rest[:n])
		c.got += uint64(n)
		data = data[n:]
	}
}

// failure says what is wrong with a finished call, or "".
func (c *call) failure() string {
	switch {
	case c.grpcStatus != "" && c.grpcStatus != "0":
		return fmt.Sprintf("grpc-status %s %s", c.grpcStatus, c.grpcText)
	case c.httpStatus != "200":
		return fmt.Sprintf("http status %q", c.httpStatus)
	case c.grpcStatus == "":
		return "no grpc-status"
	case c.wrong:
		return "wrong bytes"
	case c.got != c.answer.length:
		return "answer cut short"
	}
	return ""
}
