package main

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// rawMessage is a message as grpc-go holds it: buffers that are handed through without a copy.
type rawMessage struct{ slices mem.BufferSlice }

func newRawMessage(data []byte) *rawMessage {
	return &rawMessage{slices: mem.BufferSlice{mem.SliceBuffer(data)}}
}

func (m *rawMessage) bytes() []byte { return m.slices.Materialize() }

// rawCodec passes messages through as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(value any) (mem.BufferSlice, error) {
	message, ok := value.(*rawMessage)
	if !ok {
		return nil, fmt.Errorf("cannot marshal a %T", value)
	}
	return message.slices, nil // with its reference: grpc-go frees it once it is written
}

func (rawCodec) Unmarshal(data mem.BufferSlice, value any) error {
	message, ok := value.(*rawMessage)
	if !ok {
		return fmt.Errorf("cannot unmarshal into a %T", value)
	}
	data.Ref() // grpc-go frees its own reference when this returns
	message.slices = data
	return nil
}
