package caller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"outrigger.test/peers/userservice/api"
)

func list(ctx context.Context, c *caller) ([]object, error) {
	var users []*api.User
	for at := range 25 {
		users = append(users, c.user(fmt.Sprintf("%02d", at)))
	}
	if _, err := c.send(ctx, users); err != nil {
		return nil, err
	}
	pages, token, err := c.idsFrom(ctx, "")
	if err != nil {
		return nil, err
	}
	rest, _, err := c.idsFrom(ctx, token)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, id := range slices.Concat(pages...) {
		if name, is := strings.CutPrefix(id, c.name); is {
			own = append(own, name)
		}
	}
	resumed := slices.Equal(slices.Concat(rest...), slices.Concat(pages[1:]...))
	return []object{{"ids": own, "resumed": resumed}}, nil
}

// idsFrom lists users in pages of ten; it returns their ids by page, and the token of the first page.
func (c *caller) idsFrom(ctx context.Context, token string) (pages [][]string, first string, err error) {
	stream, err := c.users.ListUsers(ctx, &api.ListUsersRequest{PageSize: 10, PageToken: token})
	if err != nil {
		return nil, "", err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return pages, first, nil
		}
		if err != nil {
			return nil, "", err
		}
		if len(pages) == 0 {
			first = response.GetNextPageToken()
		}
		var page []string
		for _, user := range response.GetUsers() {
			page = append(page, user.GetId())
		}
		pages = append(pages, page)
	}
}

func (c *caller) send(ctx context.Context, users []*api.User) (*api.ImportUsersResponse, error) {
	stream, err := c.users.ImportUsers(ctx)
	if err != nil {
		return nil, err
	}
	for _, user := range users {
		if err := stream.Send(&api.ImportUsersRequest{User: user}); err != nil {
			return nil, err
		}
	}
	return stream.CloseAndRecv()
}

func importing(ctx context.Context, c *caller) ([]object, error) {
	invalid, sameEmail, unnamed := c.user("bad"), c.user("bob"), c.user("unnamed")
	invalid.Email = "nobody"
	sameEmail.Email = c.name + "Ann@x.org"
	unnamed.Id = ""
	response, err := c.send(ctx, []*api.User{c.user("ann"), c.user("ann"), invalid, sameEmail, unnamed})
	if err != nil {
		return nil, err
	}
	failures := []object{}
	for _, each := range response.GetErrors() {
		failures = append(failures, object{"index": each.GetIndex(), "code": each.GetStatus().GetCode()})
	}
	return []object{{"created": response.GetCreatedCount(), "failed": response.GetFailedCount(), "errors": failures}}, nil
}

// follow reads changes: the first one, and one after each step. It then cancels the stream, unless it ends itself.
func (c *caller) follow(ctx context.Context, request *api.WatchUsersRequest, steps ...func() error) (object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.users.WatchUsers(ctx, request)
	if err != nil {
		return nil, err
	}
	var events []string
	var last int64
	growing := true
	for at := 0; ; at++ {
		response, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		events = append(events, c.event(response.GetChange()))
		growing = growing && (at == 0 || response.GetChange().GetRevision() > last)
		last = response.GetChange().GetRevision()
		if at == len(steps) {
			break
		}
		if err := steps[at](); err != nil {
			return nil, err
		}
	}
	cancel()
	_, err = stream.Recv()
	return object{"events": events, "growing": growing, "code": c.ended(err)["code"]}, nil
}

func watch(ctx context.Context, c *caller) ([]object, error) {
	bob := c.user("bob")
	seen, err := c.follow(ctx, &api.WatchUsersRequest{},
		func() error { return second(c.users.CreateUser(ctx, &api.CreateUserRequest{User: bob})) },
		func() error {
			changed := &api.User{Id: bob.Id, DisplayName: "Changed"}
			return second(c.users.UpdateUser(ctx, &api.UpdateUserRequest{User: changed}))
		},
		func() error { return second(c.users.DeleteUser(ctx, &api.DeleteUserRequest{Id: bob.Id})) })
	return []object{seen}, err
}

func resume(ctx context.Context, c *caller) ([]object, error) {
	first, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: c.user("ann")})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"bob", "cid"} {
		if _, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: c.user(name)}); err != nil {
			return nil, err
		}
	}
	if _, err := c.users.DeleteUser(ctx, &api.DeleteUserRequest{Id: c.name + "bob"}); err != nil {
		return nil, err
	}
	revision := first.GetUser().GetVersion()
	nothing := func() error { return nil }
	seen, err := c.follow(ctx, &api.WatchUsersRequest{AfterRevision: &revision}, nothing, nothing)
	return []object{seen}, err
}

func second[T any](_ T, err error) error { return err }

func syncing(ctx context.Context, c *caller) ([]object, error) {
	stream, err := c.users.SyncUsers(ctx)
	if err != nil {
		return nil, err
	}
	start := &api.SyncUsersRequest{Request: &api.SyncUsersRequest_Start{Start: &api.SyncStart{}}}
	missing, taken := c.user("nobody"), c.user("bob")
	missing.Version = 1 << 40
	taken.Email = c.user("ann").Email
	steps := []func() error{
		func() error { return stream.Send(start) },
		func() error { return stream.Send(upsert("one", c.user("ann"))) },
		func() error { return second(c.users.CreateUser(ctx, &api.CreateUserRequest{User: c.user("other")})) },
		func() error { return stream.Send(upsert("two", missing)) },
		func() error { return stream.Send(upsert("three", taken)) },
	}
	var events []string
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
		response, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if ack := response.GetAck(); ack != nil {
			events = append(events, fmt.Sprintf("ack %s %d", ack.GetOperationId(), ack.GetError().GetCode()))
		} else {
			events = append(events, c.event(response.GetChange()))
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	_, err = stream.Recv()
	return []object{{"events": events, "ended": errors.Is(err, io.EOF)}}, nil
}

func upsert(operation string, user *api.User) *api.SyncUsersRequest {
	upsert := &api.SyncUpsert{OperationId: operation, User: user}
	return &api.SyncUsersRequest{Request: &api.SyncUsersRequest_Upsert{Upsert: upsert}}
}

func deadline(ctx context.Context, c *caller) ([]object, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	stream, err := c.users.WatchUsers(ctx, &api.WatchUsersRequest{})
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	_, err = stream.Recv()
	return []object{{"events": []string{c.event(first.GetChange())}, "code": c.ended(err)["code"]}}, nil
}
