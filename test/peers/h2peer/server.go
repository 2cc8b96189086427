package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// cancelled counts the calls that their caller gave up.
var cancelled atomic.Int64

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/octets", octets)
	mux.HandleFunc("/fields", fields)
	mux.HandleFunc("/early", early)
	mux.HandleFunc("/reset", reset)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/deaf", deaf)
	mux.HandleFunc("/hints", hints)
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/cancelled", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, cancelled.Load()) })
	return mux
}

// echo sends the body back as it comes, and the trailer x-check after it.
func echo(w http.ResponseWriter, r *http.Request) {
	count := 0
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Field-") {
			count += len(values)
		}
	}
	w.Header().Set("Trailer", "x-check, x-octets")
	w.Header().Set("X-Count", strconv.Itoa(count))
	w.WriteHeader(http.StatusOK)
	buffer := make([]byte, 32_768)
	total := 0
	for {
		size, err := r.Body.Read(buffer)
		total += size
		w.Write(buffer[:size])
		w.(http.Flusher).Flush()
		if err == io.EOF {
			break
		}
		if err != nil {
			cancelled.Add(1)
			return
		}
	}
	w.Header().Set("X-Check", r.Trailer.Get("X-Check"))
	w.Header().Set("X-Octets", strconv.Itoa(total))
}

func octets(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Length", strconv.Itoa(size))
	block := make([]byte, 65_536)
	for at := range block {
		block[at] = byte(at)
	}
	for size > 0 && r.Method != http.MethodHead {
		part := min(size, len(block))
		if _, err := w.Write(block[:part]); err != nil {
			return
		}
		size -= part
	}
}

// fields answers with many fields, in the head and in the trailers.
func fields(w http.ResponseWriter, _ *http.Request) {
	for at := range 100 {
		w.Header().Set(fmt.Sprintf("X-Field-%d", at), strings.Repeat("v", 200))
	}
	io.WriteString(w, "fields")
	w.(http.Flusher).Flush()
	for at := range 50 {
		w.Header().Set(fmt.Sprintf("%sX-Last-%d", http.TrailerPrefix, at), strings.Repeat("t", 200))
	}
}

// early answers before it has read anything, and reads nothing.
func early(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	io.WriteString(w, "enough")
}

// reset ends the stream in the middle of its answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, strings.Repeat("r", 100))
	w.(http.Flusher).Flush()
	time.Sleep(20 * time.Millisecond)
	panic(http.ErrAbortHandler)
}

// slow sends an octet now and then until its caller gives up.
func slow(w http.ResponseWriter, r *http.Request) {
	for {
		io.WriteString(w, ".")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			cancelled.Add(1)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// deaf does not notice that its caller has given up.
func deaf(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(300 * time.Millisecond)
	w.WriteHeader(http.StatusNoContent)
}

func hints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	io.WriteString(w, "hinted")
}
