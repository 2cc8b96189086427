// Command h2peer is a client and a server of HTTP/2 without TLS on Go's x/net, for the tests in test/interop.
//
//	h2peer -listen 127.0.0.1:0          serves what test/interop/h2-server.ts serves, and prints "listening HOST:PORT"
//	h2peer -target HOST:PORT CASE...    prints one line of JSON a case, as test/interop/h2-client.ts does
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"golang.org/x/net/http2"
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
	fmt.Println("listening", listener.Addr())
	server := &http2.Server{}
	options := &http2.ServeConnOpts{Handler: handler(), BaseConfig: &http.Server{ErrorLog: log.New(os.Stderr, "", 0)}}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go server.ServeConn(connection, options)
	}
}

func call(target string, names []string) {
	client := newClient(target)
	output := json.NewEncoder(os.Stdout)
	for _, name := range names {
		run, known := cases[name]
		if !known {
			log.Fatalf("no case is called %s", name)
		}
		seen, err := run(client)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		if err := output.Encode(map[string]any{"case": name, "seen": seen}); err != nil {
			log.Fatal(err)
		}
	}
}
