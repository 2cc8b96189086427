// Package caller calls a user service case by case, and tells what it saw of each call. test/interop/user-cases.ts does the
// same in TypeScript, and test/interop/user-expected.ts holds what has to be seen by both.
package caller

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"outrigger.test/peers/peer"
	"outrigger.test/peers/userservice/api"
)

const (
	maxMessageBytes = 64 << 20
	patience        = 20 * time.Second
)

type object = map[string]any

// testCase makes calls, and returns what was seen of them.
type testCase func(context.Context, *caller) ([]object, error)

var cases = map[string]testCase{
	"unary":    unary,
	"statuses": statuses,
	"large":    large,
	"many":     many,
	"health":   health,
	"list":     list,
	"import":   importing,
	"watch":    watch,
	"resume":   resume,
	"sync":     syncing,
	"deadline": deadline,
}

// caller is one run of the cases. Its users have ids and addresses that begin with a name of its own, which is not shown.
type caller struct {
	users  api.UserServiceClient
	health healthpb.HealthClient
	name   string
}

// Run runs cases against a target and prints a line of JSON for each.
func Run(target string, names []string) error {
	limits := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes))
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), limits)
	if err != nil {
		return err
	}
	defer connection.Close()
	output := json.NewEncoder(os.Stdout)
	return peer.Each(names, cases, func(name string, run testCase) error {
		c := &caller{api.NewUserServiceClient(connection), healthpb.NewHealthClient(connection), "go" + rand.Text() + "-"}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		seen, err := run(ctx, c)
		if err != nil {
			return err
		}
		return output.Encode(object{"case": name, "seen": seen})
	})
}

func (c *caller) user(name string) *api.User {
	return &api.User{Id: c.name + name, Email: c.name + name + "@x.org", DisplayName: name, Picture: []byte{0, 1, 255}}
}

var digits = regexp.MustCompile(`\d+`)

// masked is a text without what differs from run to run.
func (c *caller) masked(text string) string {
	return digits.ReplaceAllString(strings.ReplaceAll(strings.ToLower(text), strings.ToLower(c.name), "~"), "#")
}

// shown is a user as it is told.
func (c *caller) shown(user *api.User) object {
	return object{
		"id":    strings.TrimPrefix(user.GetId(), c.name),
		"email": strings.TrimPrefix(user.GetEmail(), c.name),
		"name":  user.GetDisplayName(), "picture": len(user.GetPicture()),
		"dated": user.GetVersion() > 0 && user.GetCreateTime().IsValid() && user.GetUpdateTime().IsValid(),
	}
}

// ended is how a call ended, as it is told.
func (c *caller) ended(err error) object {
	state := status.Convert(err)
	seen := object{"code": int(state.Code())}
	if state.Message() != "" {
		seen["details"] = c.masked(state.Message())
	}
	for _, detail := range state.Details() {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			var fields []string
			for _, violation := range request.GetFieldViolations() {
				fields = append(fields, violation.GetField())
			}
			seen["fields"] = fields
		}
	}
	return seen
}

// event is a change as it is told.
func (c *caller) event(change *api.UserChange) string {
	switch {
	case change.GetPut() != nil:
		return "put " + strings.TrimPrefix(change.GetPut().GetId(), c.name) + " " + change.GetPut().GetDisplayName()
	case change.GetDeleted() != nil:
		return "deleted " + strings.TrimPrefix(change.GetDeleted().GetId(), c.name)
	}
	return "start"
}
