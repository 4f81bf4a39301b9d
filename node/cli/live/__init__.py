"""Verbs that go on until they are ended."""
