// Command grpcpeer has the cases of gRPC's interoperability tests that grpc-go's own client and server leave out: messages
// that are compressed or not, with the server looking at the wire, and a thousand large calls at once on one connection.
//
//	grpcpeer -listen 127.0.0.1:0            serves, and prints "listening HOST:PORT"
//	grpcpeer -target HOST:PORT CASE...      prints "CASE passed: DETAIL" for each; exits 1 at the first that did not
package main

import (
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"outrigger.test/peers/peer"
)

func main() {
	peer.Main(serve, call)
}

func serve(listener net.Listener) error {
	server := grpc.NewServer(grpc.StatsHandler(wireWatcher{}), grpc.MaxConcurrentStreams(2000))
	testpb.RegisterTestServiceServer(server, newServer())
	return server.Serve(listener)
}

func call(target string, names []string) error {
	connection, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(wireWatcher{}))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := testpb.NewTestServiceClient(connection)
	return peer.Each(names, cases, func(name string, run testCase) error {
		detail, err := run(client)
		if err != nil {
			return err
		}
		fmt.Printf("%s passed: %s\n", name, detail)
		return nil
	})
}
