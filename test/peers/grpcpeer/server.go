package main

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// server is grpc-go's interop server, with the methods that have to do with compression in place of its own.
type server struct {
	testpb.TestServiceServer
}

func newServer() testpb.TestServiceServer {
	return server{interop.NewTestServer()}
}

func (s server) UnaryCall(ctx context.Context, request *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if err := expect(ctx, request.GetExpectCompressed()); err != nil {
		return nil, err
	}
	if err := compress(ctx, request.GetResponseCompressed()); err != nil {
		return nil, err
	}
	return s.TestServiceServer.UnaryCall(ctx, request)
}

func (s server) StreamingOutputCall(request *testpb.StreamingOutputCallRequest, stream testpb.TestService_StreamingOutputCallServer) error {
	// grpc-go compresses all messages of a stream or none.
	for _, parameters := range request.GetResponseParameters() {
		if err := compress(stream.Context(), parameters.GetCompressed()); err != nil {
			return err
		}
	}
	return s.TestServiceServer.StreamingOutputCall(request, stream)
}

func (s server) StreamingInputCall(stream testpb.TestService_StreamingInputCallServer) error {
	var sum int32
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		if err := expect(stream.Context(), request.GetExpectCompressed()); err != nil {
			return err
		}
		sum += int32(len(request.GetPayload().GetBody()))
	}
}

// expect is the error of a message that did not come as its sender says it was sent.
func expect(ctx context.Context, want *testpb.BoolValue) error {
	if want == nil {
		return nil
	}
	if got, any := seenOf(ctx).last(); any && got != want.GetValue() {
		return status.Errorf(codes.InvalidArgument, "the message came with compressed=%v", got)
	}
	return nil
}

func compress(ctx context.Context, want *testpb.BoolValue) error {
	if want.GetValue() {
		return grpc.SetSendCompressor(ctx, "gzip")
	}
	return nil
}
