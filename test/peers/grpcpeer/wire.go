package main

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// seen is which messages of a call came compressed, in their order.
type seen struct {
	mutex      sync.Mutex
	compressed []bool
}

func (s *seen) last() (compressed, any bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.compressed) == 0 {
		return false, false
	}
	return s.compressed[len(s.compressed)-1], true
}

func (s *seen) all() []bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]bool(nil), s.compressed...)
}

type seenKey struct{}

// watched gives a call's context something that notes what came; calls of a server have it already.
func watched(ctx context.Context) (context.Context, *seen) {
	note := &seen{}
	return context.WithValue(ctx, seenKey{}, note), note
}

func seenOf(ctx context.Context) *seen {
	note, _ := ctx.Value(seenKey{}).(*seen)
	return note
}

// wireWatcher notes of each message that comes whether it was compressed on the wire.
type wireWatcher struct{}

func (wireWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if seenOf(ctx) == nil {
		ctx, _ = watched(ctx)
	}
	return ctx
}

func (wireWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	payload, is := event.(*stats.InPayload)
	note := seenOf(ctx)
	if !is || note == nil {
		return
	}
	note.mutex.Lock()
	defer note.mutex.Unlock()
	note.compressed = append(note.compressed, payload.CompressedLength != payload.Length)
}

func (wireWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (wireWatcher) HandleConn(context.Context, stats.ConnStats)                       {}
