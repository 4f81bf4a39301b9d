"""A member lies about a healthy one: what the others believe, with Kith and with Serf.

`python -m benchmarks.liar` starts as many Kith nodes as Serf agents, one after the other, and does
the same to both: a program that speaks for one member says that another one, which is well, is
dead. What each honest member then holds of it is looked at ten times a second, through the API that
users have. See `attacks` for what is said, and `sides` for what differs and whom that favours.
"""
