// Command kubelet-prober asks once as the kubelet does, with the kubelet's own probers, and prints what it would take from the
// answer: {"result": "success" | "failure" | ..., "output": TEXT}.
//
//	kubelet-prober grpc HOST PORT [SERVICE]
//	kubelet-prober http HOST PORT PATH
//	kubelet-prober tcp  HOST PORT
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
)

// The kubelet's default is 1 s; a busy machine that tests run on may take longer.
const timeout = 5 * time.Second

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: kubelet-prober grpc|http|tcp HOST PORT [SERVICE|PATH]"))
	}
	kind, host := os.Args[1], os.Args[2]
	port, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fail(err)
	}
	subject := ""
	if len(os.Args) > 4 {
		subject = os.Args[4]
	}
	result, output, err := ask(kind, host, port, subject)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"result": string(result), "output": output}); err != nil {
		fail(err)
	}
}

func ask(kind, host string, port int, subject string) (probe.Result, string, error) {
	switch kind {
	case "grpc":
		return grpcprobe.New().Probe(host, subject, port, timeout)
	case "http":
		action := &v1.HTTPGetAction{Path: subject, Port: intstr.FromInt32(int32(port))}
		request, err := httpprobe.NewRequestForHTTPGetAction(action, &v1.Container{}, host, "probe")
		if err != nil {
			return probe.Unknown, "", err
		}
		return httpprobe.New(false).Probe(request, timeout)
	case "tcp":
		return tcpprobe.New().Probe(host, port, timeout)
	}
	return probe.Unknown, "", fmt.Errorf("there is no probe %q", kind)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kubelet-prober:", err)
	os.Exit(2)
}
