package handler

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"outrigger.test/peers/userservice/api"
	"outrigger.test/peers/userservice/internal/users"
	"outrigger.test/peers/userservice/repository"
)

// importErrorsMax is how many errors of an import are told; all are counted.
const importErrorsMax = 100

type handler struct {
	api.UnimplementedUserServiceServer
	users *users.Service
	// stopping is over when streams without an end of their own have to end.
	stopping context.Context
}

func (h *handler) GetUser(ctx context.Context, request *api.GetUserRequest) (*api.GetUserResponse, error) {
	user, err := h.users.Get(ctx, request.GetId())
	if err != nil {
		return nil, failureOf(err)
	}
	return &api.GetUserResponse{User: messageOf(user)}, nil
}

func (h *handler) CreateUser(ctx context.Context, request *api.CreateUserRequest) (*api.CreateUserResponse, error) {
	user, err := h.users.Create(ctx, draftOf(request.GetUser()))
	if err != nil {
		return nil, failureOf(err)
	}
	return &api.CreateUserResponse{User: messageOf(user)}, nil
}

func (h *handler) UpdateUser(ctx context.Context, request *api.UpdateUserRequest) (*api.UpdateUserResponse, error) {
	draft, mask := draftOf(request.GetUser()), request.GetUpdateMask().GetPaths()
	user, err := h.users.Update(ctx, draft, request.GetUser().GetVersion(), mask)
	if err != nil {
		return nil, failureOf(err)
	}
	return &api.UpdateUserResponse{User: messageOf(user)}, nil
}

func (h *handler) DeleteUser(ctx context.Context, request *api.DeleteUserRequest) (*api.DeleteUserResponse, error) {
	if err := h.users.Delete(ctx, request.GetId(), request.GetVersion()); err != nil {
		return nil, failureOf(err)
	}
	return &api.DeleteUserResponse{}, nil
}

func (h *handler) ListUsers(request *api.ListUsersRequest, stream grpc.ServerStreamingServer[api.ListUsersResponse]) error {
	send := func(page []*repository.User, next string) error {
		response := &api.ListUsersResponse{NextPageToken: next}
		for _, user := range page {
			response.Users = append(response.Users, messageOf(user))
		}
		return stream.Send(response)
	}
	return failureOf(h.users.List(stream.Context(), int(request.GetPageSize()), request.GetPageToken(), send))
}

func (h *handler) ImportUsers(stream grpc.ClientStreamingServer[api.ImportUsersRequest, api.ImportUsersResponse]) error {
	var drafts []users.Draft
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		drafts = append(drafts, draftOf(request.GetUser()))
	}
	created, failed, err := h.users.Import(stream.Context(), drafts)
	if err != nil {
		return failureOf(err)
	}
	response := &api.ImportUsersResponse{CreatedCount: int64(created), FailedCount: int64(len(failed))}
	for _, each := range failed[:min(importErrorsMax, len(failed))] {
		response.Errors = append(response.Errors, &api.ImportError{Index: int64(each.Index), Status: statusOf(each.Error).Proto()})
	}
	return stream.SendAndClose(response)
}

func (h *handler) WatchUsers(request *api.WatchUsersRequest, stream grpc.ServerStreamingServer[api.WatchUsersResponse]) error {
	ctx, cancel := h.untilStop(stream.Context())
	defer cancel()
	send := func(change *api.UserChange) error { return stream.Send(&api.WatchUsersResponse{Change: change}) }
	return h.ended(ctx, h.users.Watch(ctx, request.AfterRevision,
		func(revision int64) error { return send(&api.UserChange{Revision: revision}) },
		func(change repository.Change) error { return send(changeOf(change)) }))
}

// untilStop is a call's context that is also over when the server stops.
func (h *handler) untilStop(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(call)
	stop := context.AfterFunc(h.stopping, func() { cancel(errStopping) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// ended is how a stream that is over only with its context ends.
func (h *handler) ended(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStopping) {
		return failureOf(errStopping)
	}
	return failureOf(err)
}
