package handler

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"outrigger.test/peers/userservice/api"
	"outrigger.test/peers/userservice/repository"
)

type syncStream = grpc.BidiStreamingServer[api.SyncUsersRequest, api.SyncUsersResponse]

// syncCall is one SyncUsers call: upserts are acknowledged one after the other, while changes of others go out.
type syncCall struct {
	handler *handler
	stream  syncStream
	// sending is held while a message is written: two goroutines do.
	sending sync.Mutex
	// storing is held until it is known which revision an upsert has made.
	storing sync.Mutex
	own     map[int64]bool
}

func (h *handler) SyncUsers(stream syncStream) error {
	ctx, cancel := h.untilStop(stream.Context())
	defer cancel()
	first, err := h.firstOf(ctx, stream)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return h.ended(ctx, err)
	}
	call := &syncCall{handler: h, stream: stream, own: map[int64]bool{}}
	begun := make(chan struct{})
	watching := make(chan error, 1)
	go func() { watching <- call.forward(ctx, first.GetStart(), begun) }()
	select {
	case <-begun:
	case err := <-watching:
		return h.ended(ctx, err)
	}
	upserting := make(chan error, 1)
	go func() { upserting <- call.acknowledgeAll(stream.Context(), first) }()
	select {
	case err = <-upserting:
		cancel()
		<-watching
		return failureOf(err)
	case err = <-watching:
		return h.ended(ctx, err)
	}
}

// firstOf waits for the first message, unless the server stops before.
func (h *handler) firstOf(ctx context.Context, stream syncStream) (*api.SyncUsersRequest, error) {
	type received struct {
		request *api.SyncUsersRequest
		err     error
	}
	first := make(chan received, 1)
	go func() {
		request, err := stream.Recv()
		first <- received{request, err}
	}()
	select {
	case got := <-first:
		return got.request, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *syncCall) acknowledgeAll(ctx context.Context, request *api.SyncUsersRequest) error {
	var err error
	if request.GetStart() != nil {
		request, err = c.stream.Recv()
	}
	for ; err == nil; request, err = c.stream.Recv() {
		if err := c.acknowledge(ctx, request); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *syncCall) acknowledge(ctx context.Context, request *api.SyncUsersRequest) error {
	upsert := request.GetUpsert()
	switch {
	case request.GetStart() != nil:
		return status.Error(codes.InvalidArgument, "start must be the first message")
	case upsert == nil:
		return status.Error(codes.InvalidArgument, "a message is neither start nor upsert")
	}
	ack := &api.SyncAck{OperationId: upsert.GetOperationId()}
	if user, err := c.store(ctx, upsert); err == nil {
		ack.Result = &api.SyncAck_Version{Version: user.Version}
	} else {
		ack.Result = &api.SyncAck_Error{Error: statusOf(err).Proto()}
	}
	return c.send(&api.SyncUsersResponse{Response: &api.SyncUsersResponse_Ack{Ack: ack}})
}

func (c *syncCall) store(ctx context.Context, upsert *api.SyncUpsert) (*repository.User, error) {
	c.storing.Lock()
	defer c.storing.Unlock()
	user, err := c.handler.users.Put(ctx, draftOf(upsert.GetUser()), upsert.GetUser().GetVersion())
	if err == nil {
		c.own[user.Version] = true
	}
	return user, err
}

// forward sends where the changes begin, closes begun, and sends the changes of others.
func (c *syncCall) forward(ctx context.Context, start *api.SyncStart, begun chan<- struct{}) error {
	var after *int64
	if start != nil {
		after = start.AfterRevision
	}
	return c.handler.users.Watch(ctx, after,
		func(revision int64) error {
			defer close(begun)
			return c.sendChange(&api.UserChange{Revision: revision})
		},
		func(change repository.Change) error {
			if c.isOwn(change.Revision) {
				return nil
			}
			return c.sendChange(changeOf(change))
		})
}

func (c *syncCall) isOwn(revision int64) bool {
	c.storing.Lock()
	defer c.storing.Unlock()
	own := c.own[revision]
	delete(c.own, revision)
	return own
}

func (c *syncCall) sendChange(change *api.UserChange) error {
	return c.send(&api.SyncUsersResponse{Response: &api.SyncUsersResponse_Change{Change: change}})
}

func (c *syncCall) send(response *api.SyncUsersResponse) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(response)
}
