"""Where a delay line sits in a network: names, numbers, and the rules that lead packets into it.

Rules this module keeps:

1. The numbers are high and odd, so that they meet nobody's.
2. What `rules_in` adds `rules_out` takes away, also half of it.
"""

from collections.abc import Sequence

DEVICE = "kith-delay"
MARK = 0x4B17
"""On what the line sends itself, so that it is not led into it again."""
TABLE = PREFERENCE = 17_417
"""Of the rules for peers; the one for marked packets stands right before them."""
RULES_MAX = 64


def rules_in(source: str, peers: Sequence[str]) -> str:
    """For `ip -batch`: lead what is sent to these addresses into the device, from this address."""
    lines = [
        # `src`: who lets the kernel choose an address gets the one that it would have got.
        f"route replace default dev {DEVICE} src {source} table {TABLE}",
        f"rule add pref {PREFERENCE - 1} fwmark {MARK} lookup main",
        *(f"rule add pref {PREFERENCE} to {peer} lookup {TABLE}" for peer in peers),
    ]
    return "".join(f"{line}\n" for line in lines)


def rules_out(listed: str) -> str:
    """For `ip -batch`: take away what is ours of what `ip rule` lists."""
    places = [line.partition(":")[0].strip() for line in listed.splitlines()]
    ours = [place for place in places if place in (str(PREFERENCE), str(PREFERENCE - 1))]
    # Those for peers first: what is marked must never be led into the line.
    ours.sort(reverse=True)
    return "".join(f"rule del pref {place}\n" for place in ours[:RULES_MAX])
