package main

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// read is the reader's loop.
func (c *conn) read() {
	for {
		frame, err := c.framer.ReadFrame()
		if err == nil {
			err = c.handle(frame)
		}
		if err != nil {
			c.lose(err)
			return
		}
	}
}

func (c *conn) handle(frame http2.Frame) error {
	id := frame.Header().StreamID
	switch frame := frame.(type) {
	case *http2.DataFrame:
		c.data(c.find(id), frame)
	case *http2.HeadersFrame:
		c.reading = c.find(id)
		return c.headers(frame.HeaderBlockFragment(), frame.HeadersEnded(), frame.StreamEnded())
	case *http2.ContinuationFrame:
		return fmt.Errorf("CONTINUATION, which no answer of the upstream needs")
	case *http2.RSTStreamFrame:
		if reset := c.find(id); reset != nil {
			c.finish(reset, fmt.Sprintf("RST_STREAM %s", frame.ErrCode))
		}
	case *http2.SettingsFrame:
		return c.settings(frame)
	case *http2.WindowUpdateFrame:
		c.mutex.Lock()
		if id == 0 {
			c.window += int64(frame.Increment)
		} else if waiting := c.calls[id]; waiting != nil {
			waiting.window += int64(frame.Increment)
		}
		c.mutex.Unlock()
		c.notify()
	case *http2.PingFrame:
		if !frame.IsAck() {
			c.mutex.Lock()
			c.control = appendFrame(c.control, http2.FramePing, http2.FlagPingAck, 0, 8)
			c.control = append(c.control, frame.Data[:]...)
			c.mutex.Unlock()
			c.notify()
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("%w: %s %s", errGoAway, frame.ErrCode, frame.DebugData())
	}
	return nil
}

func (c *conn) find(id uint32) *call {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.calls[id]
}

func (c *conn) data(of *call, frame *http2.DataFrame) {
	length := int(frame.Header().Length) // padding counts, RFC 9113 §6.9.1
	var updates []byte
	if c.unreported += length; c.unreported >= connectionWindow/2 {
		updates = appendWindowUpdate(updates, 0, c.unreported)
		c.unreported = 0
	}
	if of != nil {
		of.check(frame.Data())
		if of.unreported += length; of.unreported >= streamWindow/2 && !frame.StreamEnded() {
			updates = appendWindowUpdate(updates, of.id, of.unreported)
			of.unreported = 0
		}
	}
	if updates != nil {
		c.mutex.Lock()
		c.control = append(c.control, updates...)
		c.mutex.Unlock()
		c.notify()
	}
	if of != nil && frame.StreamEnded() {
		c.finish(of, "")
	}
}

func (c *conn) headers(block []byte, ended, streamEnded bool) error {
	if !ended {
		return fmt.Errorf("a header block over several frames, which no answer of the upstream needs")
	}
	if _, err := c.decoder.Write(block); err != nil {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	if of := c.reading; of != nil && streamEnded {
		c.finish(of, "")
	}
	return nil
}

// field takes one decoded header field.
func (c *conn) field(field hpack.HeaderField) {
	if c.reading == nil {
		return
	}
	switch field.Name {
	case ":status":
		c.reading.httpStatus = field.Value
	case "grpc-status":
		c.reading.grpcStatus = field.Value
	case "grpc-message":
		c.reading.grpcText = field.Value
	}
}

func (c *conn) settings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.control = appendFrame(c.control, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
	defer c.notify()
	return frame.ForeachSetting(func(setting http2.Setting) error {
		switch setting.ID {
		case http2.SettingInitialWindowSize:
			// RFC 9113 §6.9.2: a change applies to the streams that are open.
			for _, open := range c.calls {
				open.window += int64(setting.Val) - c.peerWindow
			}
			c.peerWindow = int64(setting.Val)
		case http2.SettingMaxConcurrentStreams:
			c.peerStreams = int(min(setting.Val, 1<<30))
		case http2.SettingHeaderTableSize:
			c.peerTable = &setting.Val
		}
		return setting.Valid()
	})
}

// finish ends a call, counts it, and starts the next one where there is one to follow.
func (c *conn) finish(of *call, broken string) {
	now := time.Now()
	if broken == "" {
		broken = of.failure()
	}
	c.mutex.Lock()
	delete(c.calls, of.id)
	if of.sent < len(of.message) {
		c.blocked = slices.DeleteFunc(c.blocked, func(waiting *call) bool { return waiting == of })
	}
	if broken != "" {
		c.failures[broken]++
	} else if c.fleet.measuring.Load() {
		c.latencies = append(c.latencies, now.Sub(of.due))
		c.bytes += of.got
	}
	if of.path == downloadPath {
		c.downloaded <- struct{}{}
	} else if c.again && !c.fleet.stopping.Load() {
		c.queue(of, now)
	} else {
		c.free = append(c.free, of)
	}
	c.mutex.Unlock()
	c.notify()
}
