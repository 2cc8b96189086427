// Package peer is what the programs of this module have in common: each serves at an address or calls one, case by case.
package peer

import (
	"flag"
	"fmt"
	"log"
	"net"
)

// Main does what the command line says: with -listen it serves, and prints "listening HOST:PORT"; with -target it calls the
// server there, with the names of the cases. It ends the program with 1 and the reason where that fails.
func Main(serve func(net.Listener) error, call func(target string, names []string) error) {
	listen := flag.String("listen", "", "address to serve on")
	target := flag.String("target", "", "address of a server to call")
	flag.Parse()
	log.SetFlags(0)
	if err := run(*listen, *target, serve, call); err != nil {
		log.Fatal(err)
	}
}

func run(listen, target string, serve func(net.Listener) error, call func(string, []string) error) error {
	switch {
	case listen != "":
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			return err
		}
		fmt.Println("listening", listener.Addr())
		return serve(listener)
	case target != "":
		return call(target, flag.Args())
	}
	return fmt.Errorf("one of -listen and -target is needed")
}

// Each runs cases by their names, one after the other, until one fails.
func Each[Case any](names []string, cases map[string]Case, run func(name string, c Case) error) error {
	for _, name := range names {
		c, known := cases[name]
		if !known {
			return fmt.Errorf("no case is called %s", name)
		}
		if err := run(name, c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
