"""The library that a service uses to call others. It arrives with a later version."""
