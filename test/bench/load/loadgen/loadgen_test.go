package main

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw passes messages through as *[]byte.
type raw struct{}

func (raw) Name() string { return "raw" }
func (raw) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*value.(*[]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = raw{}

// serve answers every call with what the handler makes of its message; returns the address.
func serve(t *testing.T, handler func(stream grpc.ServerStream, message []byte) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		return handler(stream, message)
	}))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func echo(stream grpc.ServerStream, message []byte) error { return stream.SendMsg(&message) }

func load(target string) options {
	return options{
		target: target, authority: "echo", connections: 3, streams: 4, size: 100,
		warmup: 20 * time.Millisecond, duration: 100 * time.Millisecond,
	}
}

func mustRun(t *testing.T, o options) *result {
	t.Helper()
	r, err := run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryCallOfTheClosedLoopIsAnswered(t *testing.T) {
	target := serve(t, echo)
	for _, size := range []int{8, 100, 16 << 10, 200 << 10} {
		o := load(target)
		o.size, o.varying = size, true
		if r := mustRun(t, o); r.Calls == 0 || r.Failures != 0 || r.P50Us <= 0 || r.P99Us < r.P50Us {
			t.Errorf("size %d: %+v", size, r)
		}
	}
}

func TestMetadataRepeatsOrVaries(t *testing.T) {
	for _, varying := range []bool{false, true} {
		seen := make(chan string, 1_000_000)
		target := serve(t, func(stream grpc.ServerStream, message []byte) error {
			fields, _ := metadata.FromIncomingContext(stream.Context())
			seen <- fields.Get("x-request-id")[0] + fields.Get("traceparent")[0]
			return echo(stream, message)
		})
		o := load(target)
		o.varying = varying
		mustRun(t, o)
		different, calls := map[string]bool{}, len(seen)
		for range calls {
			different[<-seen] = true
		}
		if want := map[bool]int{false: 1, true: calls}[varying]; calls < 10 || len(different) != want {
			t.Errorf("varying %v: %d different of %d", varying, len(different), calls)
		}
	}
}

func TestWhatIsWrongWithAnAnswerIsCounted(t *testing.T) {
	for want, handler := range map[string]func(grpc.ServerStream, []byte) error{
		"wrong bytes": func(stream grpc.ServerStream, message []byte) error {
			message[len(message)-1] ^= 1
			return echo(stream, message)
		},
		"answer cut short": func(grpc.ServerStream, []byte) error { return nil },
		"grpc-status 14":   func(grpc.ServerStream, []byte) error { return status.Error(codes.Unavailable, "away") },
	} {
		r := mustRun(t, load(serve(t, handler)))
		if r.Calls != 0 || r.Failures == 0 || len(r.FailureKinds) != 1 {
			t.Errorf("%s: %+v", want, r)
		}
		for kind := range r.FailureKinds {
			if !strings.HasPrefix(kind, want) {
				t.Errorf("%s: counted as %s", want, kind)
			}
		}
	}
}

func TestAnAnswerOfAnotherCallIsWrong(t *testing.T) {
	var first []byte
	target := serve(t, func(stream grpc.ServerStream, message []byte) error {
		if first == nil {
			first = bytes.Clone(message)
		}
		return echo(stream, first)
	})
	o := load(target)
	o.connections, o.streams = 1, 1
	if r := mustRun(t, o); r.FailureKinds["wrong bytes"] == 0 {
		t.Errorf("%+v", r)
	}
}

func TestTheOpenLoopMeasuresFromWhenACallWasDue(t *testing.T) {
	const stall = 100 * time.Millisecond
	var mutex sync.Mutex
	began := time.Now()
	target := serve(t, func(stream grpc.ServerStream, message []byte) error {
		mutex.Lock()
		if time.Since(began) > 150*time.Millisecond {
			time.Sleep(stall)
			began = time.Now().Add(time.Hour)
		}
		mutex.Unlock()
		return echo(stream, message)
	})
	o := load(target)
	o.rate, o.duration = 1_000, 300*time.Millisecond
	r := mustRun(t, o)
	if r.Failures != 0 || r.Calls < 250 || r.Calls > 350 {
		t.Errorf("%+v", r)
	}
	// A hundred calls were due while nothing was answered: a third of them all, not only the one that was in flight.
	if r.P99Us < 80_000 {
		t.Errorf("a stall of %v was left out: p99 %.0f us", stall, r.P99Us)
	}
}

func TestALostConnectionFailsWhatWasInFlight(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			wire, err := listener.Accept()
			if err != nil {
				return
			}
			time.AfterFunc(50*time.Millisecond, func() { _ = wire.Close() })
		}
	}()
	if r := mustRun(t, load(listener.Addr().String())); r.Failures != 12 || r.Calls != 0 {
		t.Errorf("%+v", r)
	}
}

func TestPercentilesOfFewCalls(t *testing.T) {
	of := func(n int) (values []time.Duration) {
		for i := range n {
			values = append(values, time.Duration(i+1))
		}
		return values
	}
	for _, c := range []struct{ count, p, want int }{{0, 50, 0}, {1, 99, 1}, {2, 50, 1}, {100, 99, 99}, {101, 99, 100}} {
		if got := percentile(of(c.count), c.p); got != time.Duration(c.want) {
			t.Errorf("p%d of %d: %d, not %d", c.p, c.count, got, c.want)
		}
	}
}
