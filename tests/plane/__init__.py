"""The local control plane: etcd, kube-apiserver, kube-controller-manager and Vault as local processes.

It exists so that tests, the demo and the benchmarks run on the real servers
without containers. Callers: `tests/conftest.py`, the demo, the benchmarks, and
`python -m plane` behind `make up` and `make down`. It never imports the operator.
"""
