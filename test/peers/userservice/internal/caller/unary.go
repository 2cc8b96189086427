package caller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"outrigger.test/peers/userservice/api"
)

func unary(ctx context.Context, c *caller) ([]object, error) {
	var seen []object
	ann := c.user("ann")
	answer := func(user *api.User, header metadata.MD, err error) {
		if err != nil {
			seen = append(seen, c.ended(err))
			return
		}
		seen = append(seen, object{"code": 0, "user": c.shown(user), "instance": len(header.Get("user-instance")) == 1})
	}
	get := func() {
		var header metadata.MD
		got, err := c.users.GetUser(ctx, &api.GetUserRequest{Id: ann.Id}, grpc.Header(&header))
		answer(got.GetUser(), header, err)
	}
	var header metadata.MD
	created, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: ann}, grpc.Header(&header))
	answer(created.GetUser(), header, err)
	get()
	changed := &api.User{Id: ann.Id, Email: "ignored@x.org", DisplayName: "Changed", Version: created.GetUser().GetVersion()}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"display_name"}}
	header = nil
	updated, err := c.users.UpdateUser(ctx, &api.UpdateUserRequest{User: changed, UpdateMask: mask}, grpc.Header(&header))
	answer(updated.GetUser(), header, err)
	_, err = c.users.DeleteUser(ctx, &api.DeleteUserRequest{Id: ann.Id, Version: updated.GetUser().GetVersion()})
	seen = append(seen, c.ended(err))
	get()
	return seen, nil
}

func statuses(ctx context.Context, c *caller) ([]object, error) {
	ann := c.user("ann")
	if _, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: ann}); err != nil {
		return nil, err
	}
	sameID, sameEmail := c.user("ann"), c.user("bob")
	sameID.Email = c.name + "other@x.org"
	sameEmail.Email = c.name + "ANN@x.org"
	stale := c.user("ann")
	stale.Version = 1 << 40
	creation := func(user *api.User) error {
		_, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: user})
		return err
	}
	update := func(user *api.User, mask ...string) error {
		_, err := c.users.UpdateUser(ctx, &api.UpdateUserRequest{User: user, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return err
	}
	_, badID := c.users.GetUser(ctx, &api.GetUserRequest{Id: "a b"})
	_, staleDelete := c.users.DeleteUser(ctx, &api.DeleteUserRequest{Id: ann.Id, Version: 1 << 40})
	_, badToken := read(c.users.ListUsers(ctx, &api.ListUsersRequest{PageSize: -1, PageToken: "bm90IG91cnM"}))
	future := int64(1 << 40)
	_, unknown := read(c.users.WatchUsers(ctx, &api.WatchUsersRequest{AfterRevision: &future}))
	var seen []object
	for _, err := range []error{
		creation(sameID),
		creation(sameEmail),
		creation(&api.User{Id: "a/b", Email: "nobody", DisplayName: " "}),
		update(stale, "*"),
		update(c.user("nobody"), "email"),
		update(&api.User{Id: ann.Id}),
		update(ann, "version", "picture"),
		badID,
		staleDelete,
		badToken,
		unknown,
	} {
		seen = append(seen, c.ended(err))
	}
	return seen, nil
}

// read reads the first message of a stream of responses.
func read[T any](stream grpc.ServerStreamingClient[T], err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return stream.Recv()
}

func large(ctx context.Context, c *caller) ([]object, error) {
	user := c.user("ann")
	user.Picture = make([]byte, 6<<20)
	for at := range user.Picture {
		user.Picture[at] = byte(at * 7 % 251)
	}
	if _, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: user}); err != nil {
		return nil, err
	}
	got, err := c.users.GetUser(ctx, &api.GetUserRequest{Id: user.Id})
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(got.GetUser().GetPicture())
	return []object{{"octets": len(got.GetUser().GetPicture()), "hash": hex.EncodeToString(hash[:])}}, nil
}

func many(ctx context.Context, c *caller) ([]object, error) {
	const count = 200
	var created, found atomic.Int32
	var group sync.WaitGroup
	for at := range count {
		group.Go(func() {
			user := c.user("many" + string(rune('a'+at/26)) + string(rune('a'+at%26)))
			if _, err := c.users.CreateUser(ctx, &api.CreateUserRequest{User: user}); err == nil {
				created.Add(1)
			}
			if got, err := c.users.GetUser(ctx, &api.GetUserRequest{Id: user.Id}); err == nil && got.GetUser().GetId() == user.Id {
				found.Add(1)
			}
		})
	}
	group.Wait()
	return []object{{"created": created.Load(), "found": found.Load()}}, nil
}

func health(ctx context.Context, c *caller) ([]object, error) {
	var seen []object
	for _, service := range []string{"", "user.v1.UserService", "nobody"} {
		answer, err := c.health.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			seen = append(seen, c.ended(err))
		} else {
			seen = append(seen, object{"code": 0, "status": int(answer.GetStatus())})
		}
	}
	watched, err := read(c.health.Watch(ctx, &healthpb.HealthCheckRequest{}))
	if err != nil {
		return nil, err
	}
	return append(seen, object{"status": int(watched.GetStatus())}), nil
}
