"""`kith sim`: run the simulator on one seed or on many, and say what it found."""

import argparse
from typing import assert_never

from chaos.sim.plan import Plan
from chaos.sim.swarm import PROFILES, PlanError
from chaos.verdict import Verdict

from .errors import INVALID, UNKNOWN, VALID, CommandError
from .options import ProfilesOrder, SingleOrder, SweepOrder, order_of
from .origin import origin
from .progress import run_bar
from .report import document_of, full_text, json_text
from .runs import Ended, Raised, Request, perform
from .sweep import sweep, tell_where
from .tables import facts, say, show
from .tally import pace
from .tracefile import STDOUT, trace_to

_CODES = {Verdict.VALID: VALID, Verdict.INVALID: INVALID, Verdict.UNKNOWN: UNKNOWN}


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for; the exit code.

    Raises:
        CommandError: wrong usage, or a file that cannot be written.
    """
    order = order_of(arguments)
    match order:
        case ProfilesOrder():
            profiles = dict(PROFILES)
            show(json_text({"profiles": profiles}) if order.json else facts([*profiles.items()]))
            return VALID
        case SingleOrder():
            _check_trace_nodes(order, _plan(order.request))
            return _single(order)
        case SweepOrder():
            _plan(order.first)
            return sweep(order, perform, origin())
        case _:
            assert_never(order)


def _plan(request: Request) -> Plan:
    """Draw the plan; what no plan can have is refused before anything runs."""
    try:
        return request.plan()
    except PlanError as error:
        message = f"--{error.field} cannot be {error.value}"
        raise CommandError(message, hint=error.remedy) from None


def _check_trace_nodes(order: SingleOrder, plan: Plan) -> None:
    names = {f"n{number}" for number in range(plan.nodes)}
    for name in order.trace_nodes:
        if name not in names:
            message = f"--trace-node is {name!r}, which is no node of this run"
            raise CommandError(message, hint=f"its nodes are n0 to n{plan.nodes - 1}")


def _single(order: SingleOrder) -> int:
    ended = _performed(order)
    where = origin()
    show(json_text(document_of(ended, where)) if order.json else full_text(ended, where))
    if isinstance(ended, Raised):
        tell_where(ended)
        return INVALID
    say(pace(1, ended.virtual_s, ended.real_s))
    return _CODES[ended.verdict]


def _performed(order: SingleOrder) -> Ended:
    with run_bar(shown=order.trace != STDOUT) as progress:
        if order.trace is None:
            return perform(order.request, progress=progress)
        nodes, lines_max = order.trace_nodes, order.trace_lines_max
        with trace_to(order.trace, nodes=nodes, lines_max=lines_max) as sink:
            return perform(order.request, trace=sink, progress=progress)
