"""What a node costs while it does nothing: memory with few and with many instances, and its start.

Beside a Serf agent and an etcd member of the same run, where they are installed.
"""
