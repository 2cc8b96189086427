package main

import (
	"slices"
	"time"
)

// result is what one run measured. Times are in microseconds, cpuSeconds is that of the processes named by -cpu-of.
type result struct {
	Calls          int            `json:"calls"`
	CallsPerSecond float64        `json:"callsPerSecond"`
	Bytes          uint64         `json:"bytes"`
	Seconds        float64        `json:"seconds"`
	CPUSeconds     float64        `json:"cpuSeconds"`
	MeanUs         float64        `json:"meanUs"`
	P50Us          float64        `json:"p50Us"`
	P99Us          float64        `json:"p99Us"`
	LateP99Us      float64        `json:"lateP99Us"` // open loop: how late the generator itself wrote its calls
	Failures       int            `json:"failures"`
	FailureKinds   map[string]int `json:"failureKinds"`
}

// collect adds up what the connections saw. Failures count also outside of the measured window.
func (f *fleet) collect(cpu, took time.Duration) *result {
	r := &result{Seconds: took.Seconds(), CPUSeconds: cpu.Seconds(), FailureKinds: map[string]int{}}
	var latencies, late []time.Duration
	for _, c := range f.conns {
		c.mutex.Lock()
		latencies = append(latencies, c.latencies...)
		late = append(late, c.late...)
		r.Bytes += c.bytes
		for kind, count := range c.failures {
			r.FailureKinds[kind] += count
			r.Failures += count
		}
		c.mutex.Unlock()
	}
	slices.Sort(latencies)
	slices.Sort(late)
	r.Calls = len(latencies)
	r.CallsPerSecond = float64(r.Calls) / took.Seconds()
	var sum time.Duration
	for _, latency := range latencies {
		sum += latency
	}
	if r.Calls > 0 {
		r.MeanUs = micros(sum) / float64(r.Calls)
	}
	r.P50Us = micros(percentile(latencies, 50))
	r.P99Us = micros(percentile(latencies, 99))
	r.LateP99Us = micros(percentile(late, 99))
	return r
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// percentile is the smallest of the sorted values that p percent of them do not exceed; 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}
