//go:build tools

// Package tools pins the Kubernetes binaries of the local control plane.
// Nothing here is shipped: `tests/plane` builds the imported commands into
// the user's cache folder, and the tests, the demo and the benchmarks run them.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
