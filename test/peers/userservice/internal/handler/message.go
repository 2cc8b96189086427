package handler

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"outrigger.test/peers/userservice/api"
	"outrigger.test/peers/userservice/internal/users"
	"outrigger.test/peers/userservice/repository"
)

var errStopping = errors.New("the server is stopping")

var codeOf = map[users.Kind]codes.Code{
	users.NotFound:        codes.NotFound,
	users.AlreadyExists:   codes.AlreadyExists,
	users.StaleVersion:    codes.Aborted,
	users.Invalid:         codes.InvalidArgument,
	users.UnknownRevision: codes.OutOfRange,
	users.TooLarge:        codes.ResourceExhausted,
}

// failureOf is an error as the end of a call.
func failureOf(err error) error {
	if err == nil {
		return nil
	}
	return statusOf(err).Err()
}

func statusOf(err error) *status.Status {
	var told *users.Error
	switch {
	case errors.Is(err, errStopping):
		return status.New(codes.Unavailable, errStopping.Error())
	case !errors.As(err, &told):
		if known, ok := status.FromError(err); ok {
			return known
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return status.FromContextError(err)
		}
		return status.New(codes.Internal, "internal error")
	case len(told.Violations) == 0:
		return status.New(codeOf[told.Kind], told.Message)
	}
	details := &errdetails.BadRequest{}
	for _, violation := range told.Violations {
		details.FieldViolations = append(details.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: violation.Field, Description: violation.Description})
	}
	detailed, err := status.New(codeOf[told.Kind], told.Message).WithDetails(details)
	if err != nil {
		return status.New(codeOf[told.Kind], told.Message)
	}
	return detailed
}

func draftOf(user *api.User) users.Draft {
	return users.Draft{
		ID: user.GetId(), Email: user.GetEmail(), DisplayName: user.GetDisplayName(), Picture: user.GetPicture(),
	}
}

func messageOf(user *repository.User) *api.User {
	return &api.User{
		Id: user.ID, Email: user.Email, DisplayName: user.DisplayName, Picture: user.Picture, Version: user.Version,
		CreateTime: timestamppb.New(user.CreatedAt), UpdateTime: timestamppb.New(user.UpdatedAt),
	}
}

func changeOf(change repository.Change) *api.UserChange {
	if change.User == nil {
		deleted := &api.UserChange_Deleted{Deleted: &api.DeletedUser{Id: change.ID}}
		return &api.UserChange{Revision: change.Revision, Change: deleted}
	}
	return &api.UserChange{Revision: change.Revision, Change: &api.UserChange_Put{Put: messageOf(change.User)}}
}
