"""The rules of the failure detector on trial, beside SWIM: `python -m chaos.trial --help`.

Only the detector runs here, message by message in virtual time. Records, streams and storage belong
to the whole simulator; here a scenario of 32 nodes takes a second, so a rule can be judged on many
seeds.
"""
