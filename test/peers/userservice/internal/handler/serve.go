// Package handler serves users over gRPC: it maps between protobuf and package users.
package handler

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	"outrigger.test/peers/userservice/api"
	"outrigger.test/peers/userservice/internal/users"
)

const (
	maxMessageBytes = 128 << 20
	// grace is how long a stop waits for calls.
	grace = 5 * time.Second
)

// Serve serves until the context is over; then it says NOT_SERVING, ends watches and syncs, and waits for the other calls.
// Every answer names the instance in the metadata user-instance.
func Serve(stopping context.Context, listener net.Listener, service *users.Service, instance string) error {
	name := metadata.Pairs("user-instance", instance)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := grpc.SetHeader(ctx, name); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}),
		grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := stream.SetHeader(name); err != nil {
				return err
			}
			return next(s, stream)
		}),
	)
	fitness := health.NewServer()
	fitness.SetServingStatus(api.UserService_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	api.RegisterUserServiceServer(server, &handler{users: service, stopping: stopping})
	healthpb.RegisterHealthServer(server, fitness)
	reflection.Register(server)

	context.AfterFunc(stopping, func() {
		fitness.Shutdown()
		timer := time.AfterFunc(grace, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
	return server.Serve(listener)
}
