package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

type client struct {
	http *http.Client
	base string
}

func newClient(target string) *client {
	transport := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	return &client{http: &http.Client{Transport: transport, Timeout: time.Minute}, base: "http://" + target}
}

// seen is all that the caller of one request can see of its answer.
type seen struct {
	Status   int               `json:"status"`
	Interim  []int             `json:"interim,omitempty"`
	Fields   map[string]string `json:"fields"`
	Octets   int               `json:"octets"`
	Hash     string            `json:"hash"`
	Trailers map[string]string `json:"trailers"`
	Failed   bool              `json:"failed"`
}

func (c *client) do(method, path string, body io.Reader, edit func(*http.Request)) (*seen, error) {
	result := &seen{}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		result.Interim = append(result.Interim, code)
		return nil
	}}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if edit != nil {
		edit(request)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	hash := sha256.New()
	octets, err := io.Copy(hash, response.Body)
	result.Status, result.Octets, result.Failed = response.StatusCode, int(octets), err != nil
	result.Hash = hex.EncodeToString(hash.Sum(nil))
	result.Fields, result.Trailers = flat(response.Header), flat(response.Trailer)
	return result, nil
}

func flat(header http.Header) map[string]string {
	fields := map[string]string{}
	for name, values := range header {
		if name != "Date" {
			fields[name] = strings.Join(values, ", ")
		}
	}
	return fields
}

func pattern(size int) string {
	var text strings.Builder
	for at := 0; text.Len() < size; at++ {
		fmt.Fprintf(&text, "%d,", at)
	}
	return text.String()[:size]
}

// checked has a request end with the trailer x-check.
func checked(request *http.Request) {
	request.Trailer = http.Header{"X-Check": {"checked"}}
	request.ContentLength = -1
}

// pieces reads at most a few octets at a time, another number each time.
type pieces struct {
	from io.Reader
	at   int
}

func (p *pieces) Read(into []byte) (int, error) {
	p.at++
	return p.from.Read(into[:min(len(into), 1+p.at*37%1999)])
}

type run = func(*client) ([]*seen, error)

// one makes a case of one request.
func one(method, path string, size int, edit func(*http.Request)) run {
	return func(c *client) ([]*seen, error) {
		var body io.Reader
		if size > 0 {
			body = &pieces{from: strings.NewReader(pattern(size))}
		}
		result, err := c.do(method, path, body, edit)
		return []*seen{result}, err
	}
}

var cases = map[string]run{
	"echo_empty":  one("POST", "/echo", 0, nil),
	"echo_small":  one("POST", "/echo", 10, checked),
	"echo_large":  one("POST", "/echo", 4<<20, checked),
	"echo_many":   many,
	"octets":      one("GET", "/octets?n=16777216", 0, nil),
	"head":        one("HEAD", "/octets?n=100", 0, nil),
	"no_content":  one("GET", "/none", 0, nil),
	"hints":       one("GET", "/hints", 0, nil),
	"fields":      one("GET", "/fields", 0, nil),
	"asks_fields": one("POST", "/echo", 10, manyFields),
	"early":       one("POST", "/early", 4<<20, nil),
	"reset":       one("GET", "/reset", 0, nil),
	"cancel":      cancel,
	"give_up":     giveUp,
}

func manyFields(request *http.Request) {
	for at := range 100 {
		request.Header.Set(fmt.Sprintf("X-Field-%d", at), strings.Repeat("q", 200))
	}
}

// many asks a hundred times at once.
func many(c *client) ([]*seen, error) {
	results := make([]*seen, 100)
	failures := make([]error, len(results))
	var group sync.WaitGroup
	for at := range results {
		group.Go(func() {
			results[at], failures[at] = c.do("POST", "/echo", strings.NewReader(pattern(1+1000*at)), checked)
		})
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// cancel gives up in the middle of an answer; the server hears of it.
func cancel(c *client) ([]*seen, error) {
	return c.heard(func(ctx context.Context, stop func()) {
		request, _ := http.NewRequestWithContext(ctx, "GET", c.base+"/slow", nil)
		if response, err := c.http.Do(request); err == nil {
			response.Body.Read(make([]byte, 1))
			stop()
			response.Body.Close()
		}
	})
}

// giveUp gives up in the middle of a request.
func giveUp(c *client) ([]*seen, error) {
	return c.heard(func(ctx context.Context, _ func()) {
		reader, writer := io.Pipe()
		request, _ := http.NewRequestWithContext(ctx, "POST", c.base+"/echo", reader)
		go func() {
			io.WriteString(writer, "some")
			time.Sleep(50 * time.Millisecond)
			// A body that fails is how x/net is told: while it reads one, it does not look at the context.
			writer.CloseWithError(errors.New("given up"))
		}()
		if response, err := c.http.Do(request); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}

// heard counts how many more cancelled calls the server knows of afterwards.
func (c *client) heard(do func(ctx context.Context, stop func())) ([]*seen, error) {
	before, err := c.cancelled()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	do(ctx, stop)
	stop()
	for range 100 {
		now, err := c.cancelled()
		if err != nil {
			return nil, err
		}
		if now > before {
			return []*seen{{Octets: now - before}}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("the server has not heard of it within 2 s")
}

func (c *client) cancelled() (int, error) {
	response, err := c.http.Get(c.base + "/cancelled")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}
