package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"golang.org/x/net/http2/hpack"
)

// head encodes the header block of a call: the fields that grpc-go sends, and a trace context, a request id and a timeout. It uses
// the encoder that grpc-go uses, which adds every field to its dynamic table.
type head struct {
	encoder   *hpack.Encoder
	block     bytes.Buffer
	authority string
	varying   bool
	random    *rand.Rand
	calls     uint64
}

func newHead(authority string, varying bool) *head {
	h := &head{authority: authority, varying: varying, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	h.encoder = hpack.NewEncoder(&h.block)
	return h
}

// encode returns a header block that is valid until the next one.
func (h *head) encode(path string) []byte {
	timeout, requestID, traceparent := "5S", "0d9a3c8e-55f0-4f0e-8d6b-3f6a7a0e1c2d", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	if h.varying {
		h.calls++
		timeout = fmt.Sprintf("%du", 4_900_000+h.calls%99_999)
		requestID = h.uuid()
		traceparent = "00-" + h.hex(16) + "-" + h.hex(8) + "-00"
	}
	h.block.Reset()
	for _, field := range [...][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", path},
		{":authority", h.authority},
		{"content-type", "application/grpc"},
		{"user-agent", "grpc-go/1.85.0"},
		{"te", "trailers"},
		{"grpc-timeout", timeout},
		{"x-request-id", requestID},
		{"traceparent", traceparent},
	} {
		_ = h.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // a bytes.Buffer does not fail
	}
	return h.block.Bytes()
}

func (h *head) hex(n int) string {
	var raw [16]byte
	for i := range n {
		raw[i] = byte(h.random.Uint32())
	}
	return hex.EncodeToString(raw[:n])
}

func (h *head) uuid() string {
	digits := h.hex(16)
	return digits[:8] + "-" + digits[8:12] + "-4" + digits[13:16] + "-a" + digits[17:20] + "-" + digits[20:]
}
