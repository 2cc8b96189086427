// Command grpcpeer has the cases of gRPC's interoperability tests that grpc-go's own client and server leave out: messages
// that are compressed or not, with the server looking at the wire, and a thousand large calls at once on one connection.
//
//	grpcpeer -listen 127.0.0.1:0            serves, and prints "listening HOST:PORT"
//	grpcpeer -target HOST:PORT CASE...      prints "CASE passed: DETAIL" for each; exits 1 at the first that did not
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	listen := flag.String("listen", "", "address to serve on")
	target := flag.String("target", "", "address of a server to call")
	flag.Parse()
	log.SetFlags(0)
	switch {
	case *listen != "":
		serve(*listen)
	case *target != "":
		call(*target, flag.Args())
	default:
		log.Fatal("one of -listen and -target is needed")
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.StatsHandler(wireWatcher{}), grpc.MaxConcurrentStreams(2000))
	testpb.RegisterTestServiceServer(server, newServer())
	fmt.Println("listening", listener.Addr())
	log.Fatal(server.Serve(listener))
}

func call(target string, names []string) {
	connection, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(wireWatcher{}))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := testpb.NewTestServiceClient(connection)
	for _, name := range names {
		run, known := cases[name]
		if !known {
			log.Fatalf("no case is called %s", name)
		}
		detail, err := run(client)
		if err != nil {
			log.Fatalf("%s failed: %v", name, err)
		}
		fmt.Printf("%s passed: %s\n", name, detail)
	}
}
