"""The command `kith sim`, and `python -m chaos sim`: everything about a run but the run itself.

    options ──▶ sim ──▶ runs (one seed) ─────────────▶ report
                 └────▶ sweep ──▶ workers ──▶ runs ──▶ tally

Rules this package keeps:

1. Standard output holds what follows from the seed alone; real time, bars and messages go to
   standard error.
2. Wrong usage and files that cannot be written are `CommandError`; no traceback reaches a user
   (`KITH_DEBUG=1` asks for one).
"""
