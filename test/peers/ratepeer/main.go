// A server of Envoy's two rate limit protocols on grpc-go and Envoy's own messages, so that what a sidecar sends and reads is
// not judged by its own reading of the .proto files.
//
//	ratepeer -listen 127.0.0.1:0    prints "listening HOST:PORT", then each message that came as JSON, one a line
//
// Each message is checked by the rules that stand in the .proto files; one that breaks them ends its call with INVALID_ARGUMENT.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"sync"
	"time"

	rlqs "github.com/envoyproxy/go-control-plane/envoy/service/rate_limit_quota/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// How many calls of a descriptor pass.
const limit = 3

var printing sync.Mutex

type checked interface {
	proto.Message
	Validate() error
}

// came prints a message and says what is wrong with it.
func came(message checked) error {
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(protojson.MarshalOptions{}.Format(message))
	if err := message.Validate(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

type limits struct {
	rls.UnimplementedRateLimitServiceServer
	mutex sync.Mutex
	used  map[string]uint32
}

// ShouldRateLimit lets three calls of each descriptor pass.
func (l *limits) ShouldRateLimit(_ context.Context, request *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	if err := came(request); err != nil {
		return nil, err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	answer := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	for _, descriptor := range request.Descriptors {
		key := fmt.Sprint(request.Domain, descriptor.Entries)
		l.used[key] += max(1, request.HitsAddend)
		one := &rls.RateLimitResponse_DescriptorStatus{
			Code:               rls.RateLimitResponse_OK,
			CurrentLimit:       &rls.RateLimitResponse_RateLimit{Name: "three", RequestsPerUnit: limit, Unit: rls.RateLimitResponse_RateLimit_MINUTE},
			LimitRemaining:     limit - min(limit, l.used[key]),
			DurationUntilReset: durationpb.New(2500 * time.Millisecond),
		}
		if l.used[key] > limit {
			one.Code = rls.RateLimitResponse_OVER_LIMIT
			answer.OverallCode = rls.RateLimitResponse_OVER_LIMIT
		}
		answer.Statuses = append(answer.Statuses, one)
	}
	return answer, nil
}

type quotas struct {
	rlqs.UnimplementedRateLimitQuotaServiceServer
}

// StreamRateLimitQuotas assigns each bucket that is reported what its x-tenant is called after.
func (quotas) StreamRateLimitQuotas(stream rlqs.RateLimitQuotaService_StreamRateLimitQuotasServer) error {
	for {
		reports, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := came(reports); err != nil {
			return err
		}
		answer := &rlqs.RateLimitQuotaResponse{}
		for _, usage := range reports.BucketQuotaUsages {
			answer.BucketAction = append(answer.BucketAction, &rlqs.RateLimitQuotaResponse_BucketAction{
				BucketId: usage.BucketId,
				BucketAction: &rlqs.RateLimitQuotaResponse_BucketAction_QuotaAssignmentAction_{
					QuotaAssignmentAction: &rlqs.RateLimitQuotaResponse_BucketAction_QuotaAssignmentAction{
						AssignmentTimeToLive: durationpb.New(time.Hour),
						RateLimitStrategy:    strategyOf(usage.BucketId.Bucket["x-tenant"]),
					},
				},
			})
		}
		if err := answer.Validate(); err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func strategyOf(tenant string) *typev3.RateLimitStrategy {
	switch tenant {
	case "none":
		return &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_BlanketRule_{
			BlanketRule: typev3.RateLimitStrategy_DENY_ALL}}
	case "two-a-day":
		return &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_RequestsPerTimeUnit_{
			RequestsPerTimeUnit: &typev3.RateLimitStrategy_RequestsPerTimeUnit{RequestsPerTimeUnit: 2, TimeUnit: typev3.RateLimitUnit_DAY}}}
	case "four-tokens":
		return &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_TokenBucket{
			TokenBucket: &typev3.TokenBucket{MaxTokens: 4, TokensPerFill: wrapperspb.UInt32(1), FillInterval: durationpb.New(time.Hour)}}}
	default:
		return &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_BlanketRule_{
			BlanketRule: typev3.RateLimitStrategy_ALLOW_ALL}}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	rls.RegisterRateLimitServiceServer(server, &limits{used: map[string]uint32{}})
	rlqs.RegisterRateLimitQuotaServiceServer(server, quotas{})
	fmt.Println("listening", listener.Addr())
	log.Fatal(server.Serve(listener))
}
