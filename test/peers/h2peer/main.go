// Command h2peer is a client and a server of HTTP/2 without TLS on Go's x/net, for the tests in test/interop.
//
//	h2peer -listen 127.0.0.1:0          serves what test/interop/h2-server.ts serves, and prints "listening HOST:PORT"
//	h2peer -target HOST:PORT CASE...    prints one line of JSON a case, as test/interop/h2-client.ts does
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"

	"golang.org/x/net/http2"
	"outrigger.test/peers/peer"
)

func main() {
	peer.Main(serve, call)
}

func serve(listener net.Listener) error {
	server := &http2.Server{}
	options := &http2.ServeConnOpts{Handler: handler(), BaseConfig: &http.Server{ErrorLog: log.New(os.Stderr, "", 0)}}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go server.ServeConn(connection, options)
	}
}

func call(target string, names []string) error {
	client := newClient(target)
	output := json.NewEncoder(os.Stdout)
	return peer.Each(names, cases, func(name string, each run) error {
		seen, err := each(client)
		if err != nil {
			return err
		}
		return output.Encode(map[string]any{"case": name, "seen": seen})
	})
}
