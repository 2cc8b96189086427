// Command userservice is the user service of services/user in another language, and a caller of it, so that either may stand
// on either side of the mesh.
//
//	userservice -listen 127.0.0.1:0          serves user.v1, health and reflection, and prints "listening HOST:PORT"
//	userservice -target HOST:PORT CASE...    prints one line of JSON a case, as test/interop/user-client.ts does
//
// The code in api/ is generated: buf generate.
package main

import (
	"context"
	"net"
	"os/signal"
	"syscall"

	"outrigger.test/peers/peer"
	"outrigger.test/peers/userservice/internal/caller"
	"outrigger.test/peers/userservice/internal/handler"
	"outrigger.test/peers/userservice/internal/users"
	"outrigger.test/peers/userservice/repository"
)

func main() {
	peer.Main(serve, caller.Run)
}

// serve serves until it is told to end.
func serve(listener net.Listener) error {
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	service := users.New(repository.NewMemory())
	return handler.Serve(stopping, listener, service, "go-"+listener.Addr().String())
}
