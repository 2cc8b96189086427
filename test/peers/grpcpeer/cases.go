package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

const (
	largeRequest  = 271_828
	largeResponse = 314_159
)

// cases run one case each; the detail that they return is the same whatever lies between them and the server.
// testCase runs a case, and tells in a word what it saw.
type testCase func(testpb.TestServiceClient) (string, error)

var cases = map[string]testCase{
	"client_compressed_unary":     clientCompressedUnary,
	"client_compressed_streaming": clientCompressedStreaming,
	"server_compressed_unary":     serverCompressedUnary,
	"server_compressed_streaming": serverCompressedStreaming,
	"concurrent_large_unary":      concurrentLargeUnary,
}

var (
	yes      = &testpb.BoolValue{Value: true}
	no       = &testpb.BoolValue{Value: false}
	gzipped  = grpc.UseCompressor(gzip.Name)
	timeout  = 60 * time.Second
	parallel = 1000
)

func payload(size int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, size)} }

func large() *testpb.SimpleRequest {
	return &testpb.SimpleRequest{ResponseSize: largeResponse, Payload: payload(largeRequest)}
}

func unary(client testpb.TestServiceClient, request *testpb.SimpleRequest, options ...grpc.CallOption) (*seen, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ctx, note := watched(ctx)
	response, err := client.UnaryCall(ctx, request, options...)
	if err != nil {
		return note, err
	}
	if size := len(response.GetPayload().GetBody()); size != int(request.GetResponseSize()) {
		return note, fmt.Errorf("%d octets came back", size)
	}
	return note, nil
}

func clientCompressedUnary(client testpb.TestServiceClient) (string, error) {
	probe := large()
	probe.ExpectCompressed = yes
	if _, err := unary(client, probe); status.Code(err) != codes.InvalidArgument {
		return "", fmt.Errorf("the server does not look at the flag: %w", err)
	}
	compressed := large()
	compressed.ExpectCompressed = yes
	if _, err := unary(client, compressed, gzipped); err != nil {
		return "", err
	}
	plain := large()
	plain.ExpectCompressed = no
	if _, err := unary(client, plain); err != nil {
		return "", err
	}
	return "a wrong flag was seen; compressed and plain came as sent", nil
}

func clientCompressedStreaming(client testpb.TestServiceClient) (string, error) {
	send := func(expect *testpb.BoolValue, options ...grpc.CallOption) (int32, error) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		stream, err := client.StreamingInputCall(ctx, options...)
		if err != nil {
			return 0, err
		}
		for _, size := range []int{27_182, 45_904} {
			request := &testpb.StreamingInputCallRequest{Payload: payload(size), ExpectCompressed: expect}
			if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
		}
		response, err := stream.CloseAndRecv()
		return response.GetAggregatedPayloadSize(), err
	}
	if _, err := send(yes); status.Code(err) != codes.InvalidArgument {
		return "", fmt.Errorf("the server does not look at the flag: %w", err)
	}
	sum, err := send(yes, gzipped)
	if err != nil {
		return "", err
	}
	plain, err := send(no)
	return fmt.Sprintf("a wrong flag was seen; %d octets compressed, %d plain", sum, plain), err
}

func serverCompressedUnary(client testpb.TestServiceClient) (string, error) {
	detail := ""
	for _, want := range []*testpb.BoolValue{yes, no} {
		request := large()
		request.ResponseCompressed = want
		note, err := unary(client, request)
		if err != nil {
			return "", err
		}
		if got, _ := note.last(); got != want.GetValue() {
			return "", fmt.Errorf("the answer came with compressed=%v", got)
		}
		detail += fmt.Sprintf("compressed=%v ", want.GetValue())
	}
	return detail, nil
}

func serverCompressedStreaming(client testpb.TestServiceClient) (string, error) {
	detail := ""
	for _, want := range []*testpb.BoolValue{yes, no} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		ctx, note := watched(ctx)
		parameters := []*testpb.ResponseParameters{{Size: 31_415, Compressed: want}, {Size: 92_653, Compressed: want}}
		stream, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: parameters})
		for err == nil {
			_, err = stream.Recv()
		}
		cancel()
		if !errors.Is(err, io.EOF) {
			return "", err
		}
		detail += fmt.Sprintf("%v: compressed=%v ", want.GetValue(), note.all())
	}
	return detail, nil
}

func concurrentLargeUnary(client testpb.TestServiceClient) (string, error) {
	failures := make([]error, parallel)
	var group sync.WaitGroup
	for at := range parallel {
		group.Go(func() { _, failures[at] = unary(client, large()) })
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d calls at once", parallel), nil
}
