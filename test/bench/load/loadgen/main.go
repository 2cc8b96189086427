// Command loadgen makes gRPC calls over plaintext HTTP/2 and writes each of them by itself, as many separate callers would: the
// HEADERS and DATA of one call are one write, never shared with another call (h2load and busy gRPC clients batch them).
//
// It has three modes. The closed loop keeps CONNECTIONS x STREAMS calls in flight; the open loop (-rate) starts calls at a fixed rate
// and measures each from the moment it was meant to start, so that a stall is not left out; -download reads one long answer.
// Every answer is checked: HTTP status, grpc-status, and each byte. The result is one line of JSON on standard output.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"
)

type options struct {
	target      string
	authority   string
	connections int
	streams     int
	size        int
	varying     bool
	rate        int
	download    uint64
	warmup      time.Duration
	duration    time.Duration
	cpuOf       []int
}

func main() {
	result, err := run(parse())
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func parse() options {
	var o options
	var metadata, cpuOf string
	flag.StringVar(&o.target, "target", "", "HOST:PORT to call")
	flag.StringVar(&o.authority, "authority", "echo", "the :authority of each call")
	flag.IntVar(&o.connections, "connections", 10, "connections")
	flag.IntVar(&o.streams, "streams", 10, "calls in flight on each connection (closed loop)")
	flag.IntVar(&o.size, "size", 100, "bytes of each message, at least 8")
	flag.StringVar(&metadata, "metadata", "repeated", "repeated | varying: traceparent, x-request-id and grpc-timeout the same in each call, or unique")
	flag.IntVar(&o.rate, "rate", 0, "calls a second over all connections (open loop); 0: closed loop")
	flag.Uint64Var(&o.download, "download", 0, "read one answer of that many bytes instead")
	flag.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "time before the measured window")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "length of the measured window")
	flag.StringVar(&cpuOf, "cpu-of", "", "process ids whose CPU time over the measured window is reported, separated by commas")
	flag.Parse()
	switch metadata {
	case "repeated":
	case "varying":
		o.varying = true
	default:
		log.Fatalf("unknown -metadata %q", metadata)
	}
	if o.target == "" || o.size < 8 || o.connections < 1 || o.streams < 1 || flag.NArg() > 0 {
		log.Fatal("usage: loadgen -target HOST:PORT [-size N>=8] [-connections N] [-streams N] ...; see -help")
	}
	for word := range strings.SplitSeq(cpuOf, ",") {
		if word == "" {
			continue
		}
		pid, err := strconv.Atoi(word)
		if err != nil {
			log.Fatalf("-cpu-of: %v", err)
		}
		o.cpuOf = append(o.cpuOf, pid)
	}
	return o
}

func run(o options) (*result, error) {
	fleet, err := dial(o)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", o.target, err)
	}
	defer fleet.close()
	switch {
	case o.download > 0:
		return fleet.download()
	case o.rate > 0:
		return fleet.open()
	default:
		return fleet.closed()
	}
}
