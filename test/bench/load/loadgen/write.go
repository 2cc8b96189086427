package main

import (
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

// write is the writer's loop: one turn, one write.
func (c *conn) write() {
	for range c.wake {
		for {
			packet, err := c.turn()
			if err != nil {
				return
			}
			if packet == nil {
				break
			}
			if _, err := c.wire.Write(packet); err != nil {
				c.lose(err)
				return
			}
			yield()
		}
	}
}

// yield lets whoever else waits for this processor run, as every separate caller does that waits for its answer once it has written.
// Without it, calls that ended together would begin together, and the upstream, which shares the processor, would see them as a burst.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// turn makes the next packet: pending control frames, or the rest of a call that got window, or one new call; nil when there is none.
func (c *conn) turn() ([]byte, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.dead != nil {
		return nil, c.dead
	}
	if len(c.control) > 0 {
		c.packet, c.control = append(c.packet[:0], c.control...), c.control[:0]
		return c.packet, nil
	}
	for i, waiting := range c.blocked {
		if min(c.window, waiting.window) > 0 {
			c.packet = c.appendBody(c.packet[:0], waiting)
			if waiting.sent == len(waiting.message) {
				c.blocked = slices.Delete(c.blocked, i, i+1)
			}
			return c.packet, nil
		}
	}
	if len(c.ready) == 0 || len(c.calls) >= c.peerStreams {
		return nil, nil
	}
	next := c.ready[0]
	c.ready = slices.Delete(c.ready, 0, 1)
	return c.begin(next), nil
}

// begin needs the mutex: identifiers have to go out in order.
func (c *conn) begin(next *call) []byte {
	next.id, c.nextID = c.nextID, c.nextID+2
	next.window = c.peerWindow
	c.calls[next.id] = next
	if c.peerTable != nil {
		c.head.encoder.SetMaxDynamicTableSizeLimit(*c.peerTable)
		c.peerTable = nil
	}
	block := c.head.encode(next.path)
	c.packet = appendFrame(c.packet[:0], http2.FrameHeaders, http2.FlagHeadersEndHeaders, next.id, len(block))
	c.packet = append(c.packet, block...)
	c.packet = c.appendBody(c.packet, next)
	if next.sent < len(next.message) {
		c.blocked = append(c.blocked, next)
	}
	if c.fleet.options.rate > 0 && c.fleet.measuring.Load() {
		c.late = append(c.late, time.Since(next.due))
	}
	return c.packet
}

// appendBody adds as much of the message as the windows allow. It needs the mutex.
func (c *conn) appendBody(packet []byte, of *call) []byte {
	for of.sent < len(of.message) {
		size := int(min(int64(len(of.message)-of.sent), maxFrame, c.window, of.window))
		if size <= 0 {
			break
		}
		var flags http2.Flags
		if of.sent+size == len(of.message) {
			flags = http2.FlagDataEndStream
		}
		packet = appendFrame(packet, http2.FrameData, flags, of.id, size)
		packet = append(packet, of.message[of.sent:of.sent+size]...)
		of.sent += size
		of.window -= int64(size)
		c.window -= int64(size)
	}
	return packet
}

func appendFrame(packet []byte, kind http2.FrameType, flags http2.Flags, stream uint32, length int) []byte {
	packet = append(packet, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(packet, stream)
}

func appendWindowUpdate(packet []byte, stream uint32, increment int) []byte {
	packet = appendFrame(packet, http2.FrameWindowUpdate, 0, stream, 4)
	return binary.BigEndian.AppendUint32(packet, uint32(increment))
}
