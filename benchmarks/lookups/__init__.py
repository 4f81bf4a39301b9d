"""Lookups over HTTP beside etcd's range and a bare ASGI server, and in this process."""
