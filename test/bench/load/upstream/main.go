// Command upstream is the application behind the proxies: a grpc-go server that echoes a message and streams a long answer.
//
// It speaks raw bytes instead of protobuf, so that what is measured is the transport. It prints "listening HOST:PORT".
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"outrigger.test/load/pattern"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(1<<30), grpc.MaxSendMsgSize(1<<30))
	server.RegisterService(&echo, nil)
	fmt.Println("listening", listener.Addr())
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

var echo = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams:     []grpc.StreamDesc{{StreamName: "Download", Handler: download, ServerStreams: true}},
}

// unary answers with the message it got.
func unary(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	message := new(rawMessage)
	if err := decode(message); err != nil {
		return nil, err
	}
	return message, nil
}

// download answers with as many bytes as the request asks for (8 bytes, big endian), in messages of pattern.Size.
func download(_ any, stream grpc.ServerStream) error {
	request := new(rawMessage)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	asked := request.bytes()
	if len(asked) != 8 {
		return status.Error(codes.InvalidArgument, "the request must be a length of 8 bytes")
	}
	chunk := pattern.New()
	for left := binary.BigEndian.Uint64(asked); left > 0; {
		size := min(left, uint64(len(chunk)))
		if err := stream.SendMsg(newRawMessage(chunk[:size])); err != nil {
			return err
		}
		left -= size
	}
	return nil
}
