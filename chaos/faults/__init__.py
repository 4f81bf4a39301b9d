"""What can go wrong, done to a real cluster from outside: one kind of fault a file.

Rules this layer keeps:

1. A fault is injected and healed; healing works after half an injection, and twice.
2. What it does to links and processes it notes as it happens, for the checkers judge by that.
3. It knows nodes by name and nothing of the scenario that it is part of.
"""
