"""What a person types and reads, against a node of real sockets and documented shapes."""

import io
import json
import sys

import pytest

from node.cli import ALIASES, VERBS

from .conftest import Type
from .fake_node import A_ID, B2_ID, B_ID, Answer, Document, FakeNode, error, instance, peer

STATUS = f"""\
node          a
id            {A_ID}
type          backend
capabilities  service
zone          z1
gossip        127.0.0.1:8401
api           127.0.0.1:8400
version       0.1.0
incarnation   1
root          9f86d081884c7d65
members       2: 2 alive
partition     none
services      1, with 2 instances, 1 passing
ready         yes
"""
LOOKUP = """\
ID         ADDRESS          HEALTH     NODE   ZONE   VERSION   TAGS      CHECKS
──────────────────────────────────────────────────────────────────────────────────────────────────────────
web-8000   127.0.0.1:8000   passing    a      z1     1.4       v2,blue   http passing: 200 OK
web-2      127.0.0.1:8000   critical   b      z1     1.4       v2,blue   http critical: connection refused
"""  # noqa: E501 - a piped table is as wide as it needs
SERVICES = """\
SERVICE   INSTANCES   PASSING   TAGS
────────────────────────────────────
web       2           1         v2
"""


def words(line: str) -> list[str]:
    return line.split()


def refusing(status: int, code: str, message: str, field: str | None = None) -> Answer:
    return Answer(status, error(code, message, field))


def lookup_of(*instances: dict[str, object]) -> Answer:
    return Answer(200, {"service": "web", "index": "7", "instances": list(instances)})


def test_help_lists_every_verb_and_is_no_error(kith: Type) -> None:
    typed = kith("--help")
    assert typed.code == 0
    for verb in (*VERBS, *ALIASES):
        assert verb in typed.out


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "node"])
def test_every_verb_has_its_own_help(kith: Type, verb: str) -> None:
    typed = kith(verb, "--help")
    assert typed.code == 0
    assert typed.out.startswith(f"usage: kith {verb} ")


def test_status_of_a_healthy_node(kith: Type, fake: FakeNode) -> None:
    typed = kith("status", "--api", fake.url)
    assert (typed.code, typed.out, typed.err) == (0, STATUS, "")


def test_status_as_json_is_one_document(kith: Type, fake: FakeNode) -> None:
    typed = kith("status", "--api", fake.url, "--json")
    document = json.loads(typed.out)
    assert typed.code == 0
    assert document.pop("node")["id"] == A_ID
    assert document == {
        "members": {"total": 2, "alive": 2},
        "partition": "none",
        "services": {"total": 1, "instances": 2, "passing": 1},
        "ready": True,
        "degraded": False,
        "reasons": [],
    }


def test_status_of_a_node_in_a_minority_is_degraded(kith: Type, fake: FakeNode) -> None:
    node = {**peer("a", A_ID, 8400), "partition": "minority"}
    fake.answers["GET", "/v1/node"] = Answer(200, node)
    typed = kith("status", "--api", fake.url)
    assert typed.code == 1
    assert "degraded      the node reaches fewer than half of the members\n" in typed.out


def test_status_with_an_unreachable_member_is_degraded_and_names_it(
    kith: Type, fake: FakeNode
) -> None:
    peers = [peer("a", A_ID, 8400), peer("b", B_ID, 8410, "unreachable")]
    fake.answers["GET", "/v1/peers"] = Answer(200, {"peers": peers})
    typed = kith("status", "--api", fake.url)
    assert typed.code == 1
    assert "members       2: 1 alive, 1 unreachable\n" in typed.out
    assert "degraded      1 member is unreachable: b\n" in typed.out


def test_status_of_a_node_that_is_not_ready_says_which_component(
    kith: Type, fake: FakeNode
) -> None:
    document = {"ready": False, "components": {"storage": {"status": "failed"}, "gossip": "ok"}}
    fake.answers["GET", "/readyz"] = Answer(503, document)
    typed = kith("status", "--api", fake.url)
    assert typed.code == 1
    assert "ready         no\n" in typed.out
    assert "degraded      the node is not ready: storage (failed)\n" in typed.out


@pytest.mark.parametrize("verb", ["peers", "members"])
def test_peers_and_its_alias_list_members_with_whole_ids(
    kith: Type, fake: FakeNode, verb: str
) -> None:
    typed = kith(verb, "--api", fake.url)
    rows = [line.split() for line in typed.out.splitlines()]
    assert typed.code == 0
    assert rows[0] == words("ID NAME STATUS TYPE ADDRESS API ZONE CAPABILITIES RTT")
    assert rows[2][:5] == [A_ID, "a", "alive", "backend", "127.0.0.1:8401"]
    assert rows[3][:5] == [B_ID, "b", "alive", "backend", "127.0.0.1:8411"]


def test_peers_passes_its_filters_on(kith: Type, fake: FakeNode) -> None:
    filters = words("peers --status dead --node-type proxy --capability http --zone z1")
    kith(*filters, "--api", fake.url)
    assert fake.asked[0].query == (
        ("status", "dead"),
        ("node_type", "proxy"),
        ("capability", "http"),
        ("zone", "z1"),
    )


def test_peers_as_json_is_the_api_document(kith: Type, fake: FakeNode) -> None:
    typed = kith("peers", "--api", fake.url, "--json")
    assert json.loads(typed.out) == fake.answers["GET", "/v1/peers"].document


def test_services_are_listed(kith: Type, fake: FakeNode) -> None:
    typed = kith("services", "--api", fake.url)
    assert (typed.code, typed.out) == (0, SERVICES)


def test_no_services_is_no_error(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/services"] = Answer(200, {"services": {}})
    typed = kith("services", "--api", fake.url)
    assert (typed.code, typed.out) == (0, "")
    assert "no service is registered" in typed.err


def test_lookup_shows_where_and_how_healthy(kith: Type, fake: FakeNode) -> None:
    typed = kith("lookup", "web", "--api", fake.url)
    assert (typed.code, typed.out, typed.err) == (0, LOOKUP, "")


def test_lookup_without_a_passing_instance_is_degraded(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/services/web"] = lookup_of(instance("web-1", "critical"))
    assert kith("lookup", "web", "--api", fake.url).code == 1


def test_lookup_of_an_unknown_service_is_unknown(kith: Type, fake: FakeNode) -> None:
    typed = kith("lookup", "none", "--api", fake.url)
    assert (typed.code, typed.out) == (2, "")
    assert "no service 'none' is known" in typed.err


def test_lookup_of_an_unknown_service_as_json_is_the_empty_list(kith: Type, fake: FakeNode) -> None:
    typed = kith("lookup", "none", "--api", fake.url, "--json")
    assert typed.code == 2
    assert json.loads(typed.out)["instances"] == []


def test_lookup_passes_its_filters_on(kith: Type, fake: FakeNode) -> None:
    kith(*words("lookup web --passing --tag v2 --tag blue --zone z1 --limit 5 --api"), fake.url)
    assert fake.asked[0].query == (
        ("tag", "v2"),
        ("tag", "blue"),
        ("health", "passing"),
        ("zone", "z1"),
        ("limit", "5"),
    )


def test_lookup_tells_a_filter_without_match_from_an_unknown_service(
    kith: Type, fake: FakeNode
) -> None:
    unknown = kith("lookup", "none", "--passing", "--api", fake.url)
    assert unknown.code == 2

    # The fake does not filter, so the service with nothing passing is two answers here.
    fake.answers["GET", "/v1/services/web"] = lookup_of(instance("web-1", "critical"))
    assert kith("lookup", "web", "--passing", "--api", fake.url).code == 1


def test_lookup_in_a_minority_says_that_the_answer_may_be_old(kith: Type, fake: FakeNode) -> None:
    answer = fake.answers["GET", "/v1/services/web"]
    headers = (("X-Kith-Partition", "minority"),)
    fake.answers["GET", "/v1/services/web"] = Answer(200, answer.document, headers=headers)
    typed = kith("lookup", "web", "--api", fake.url)
    assert typed.code == 0
    assert "fewer than half" in typed.err


def explanation(*instances: Document, notes: tuple[str, ...] = ()) -> Answer:
    told = [{"code": "side", "effect": "none", "because": note} for note in notes]
    total = len(instances)
    return Answer(200, {"service": "web", "instances": instances, "total": total, "notes": told})


OUT: Document = {
    "id": "web-9",
    "node": "b",
    "in": False,
    "health": "critical",
    "reasons": [
        {"code": "signed", "effect": "none", "because": "b signed it"},
        {
            "code": "node_unreachable",
            "effect": "critical",
            "because": "b is unreachable from here",
            "voted": [{"id": A_ID, "node": "a"}],
        },
        {"code": "filter_tag", "effect": "out", "because": "left out by tag"},
    ],
}


def test_lookup_why_says_that_an_older_node_cannot_explain(kith: Type, fake: FakeNode) -> None:
    typed = kith("lookup", "web", "--why", "--api", fake.url)
    assert (typed.code, typed.out) == (0, LOOKUP)
    assert "cannot explain" in typed.err


def test_lookup_why_shows_the_explanation_also_of_what_is_out(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/explain/services/web"] = explanation(OUT, notes=("this may be old",))
    typed = kith("lookup", "web", "--why", "--tag", "v2", "--api", fake.url)
    assert typed.code == 0
    assert typed.out.startswith(LOOKUP)
    lines = [line.split(maxsplit=2) for line in typed.out.removeprefix(LOOKUP).splitlines() if line]
    assert lines[0] == ["web-9", "on", "b: out, critical"]
    assert lines[-3:] == [
        ["signed", "-", "b signed it"],
        ["node_unreachable", "critical", "b is unreachable from here (voted: a)"],
        ["filter_tag", "out", "left out by tag"],
    ]
    assert "this may be old" in typed.err
    asked = next(one for one in fake.asked if one.path.startswith("/v1/explain"))
    assert asked.query == (("tag", "v2"),), "with the same filters"


def test_lookup_why_of_a_service_that_only_stopping_nodes_have(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/explain/services/none"] = explanation(OUT)
    typed = kith("lookup", "none", "--why", "--api", fake.url)
    assert typed.code == 1
    assert "web-9 on b: out" in typed.out


def test_lookup_why_as_json_holds_the_explanation(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/explain/services/web"] = Answer(200, {"because": "it passes"})
    typed = kith("lookup", "web", "--why", "--json", "--api", fake.url)
    assert json.loads(typed.out)["why"] == {"because": "it passes"}


def test_what_peers_wrote_cannot_steer_the_terminal(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/services/web"] = lookup_of(instance("web-1", node="\x1b[2Jgone"))
    typed = kith("lookup", "web", "--api", fake.url)
    assert "\x1b" not in typed.out
    assert "\\x1b[2Jgone" in typed.out


def test_ipv6_addresses_stand_in_brackets(kith: Type, fake: FakeNode) -> None:
    one = {**instance("web-1"), "address": "::1"}
    fake.answers["GET", "/v1/services/web"] = lookup_of(one)
    assert "[::1]:8000" in kith("lookup", "web", "--api", fake.url).out


def test_names_are_quoted_in_paths(kith: Type, fake: FakeNode) -> None:
    kith("lookup", "a/b?c", "--api", fake.url)
    assert fake.asked[0].path == "/v1/services/a%2Fb%3Fc"


def test_register_sends_what_was_typed_and_says_what_was_registered(
    kith: Type, fake: FakeNode
) -> None:
    document = {"name": "web", "id": "web-8000", "owner": A_ID, "version": 17, "update_id": "u"}
    fake.answers["POST", "/v1/services"] = Answer(201, document)

    typed = kith(
        *words("register web --port 8000 --id web-8000 --address 10.0.0.1 --tag v2 --tag blue"),
        *words("--meta team=core --meta note=a=b --zone z1 --version 1.4 --weight 50"),
        *words("--check http://127.0.0.1:8000/health --check tcp:127.0.0.1:8000 --check ttl:30s"),
        *words("--interval 5s --check-timeout 2s --failures 3 --deregister-after 10m"),
        *words("--initial passing --api"),
        fake.url,
    )

    assert typed.code == 0
    assert typed.out == f"registered web/web-8000, port 8000, with node {A_ID}, version 17\n"
    rules = {"interval": "5s", "timeout": "2s", "failures_before_critical": 3}
    rest = {"deregister_after": "10m", "initial": "passing"}
    assert fake.asked[0].body == {
        "name": "web",
        "port": 8000,
        "id": "web-8000",
        "address": "10.0.0.1",
        "zone": "z1",
        "version": "1.4",
        "weight": 50,
        "tags": ["v2", "blue"],
        "metadata": {"team": "core", "note": "a=b"},
        "checks": [
            {"type": "http", "url": "http://127.0.0.1:8000/health", **rules, **rest},
            {"type": "tcp", "address": "127.0.0.1:8000", **rules, **rest},
            {"type": "ttl", "ttl": "30s", **rest},
        ],
    }


def test_an_answer_that_names_no_instance_is_not_taken_for_success(
    kith: Type, fake: FakeNode
) -> None:
    fake.answers["POST", "/v1/services"] = Answer(200, {})
    typed = kith("register", "web", "--port", "8000", "--api", fake.url)
    assert (typed.code, typed.out) == (2, "")
    assert "does not say what it registered" in typed.err


def test_register_sends_nothing_that_was_not_typed(kith: Type, fake: FakeNode) -> None:
    kith("register", "web", "--port", "8000", "--api", fake.url)
    assert fake.asked[0].body == {"name": "web", "port": 8000}


def test_a_refused_registration_names_field_and_code(kith: Type, fake: FakeNode) -> None:
    fake.answers["POST", "/v1/services"] = refusing(400, "invalid_field", "no such name", "name")
    typed = kith("register", "Web!", "--port", "8000", "--api", fake.url)
    assert (typed.code, typed.out) == (1, "")
    assert typed.err == "kith: no such name (field name) [invalid_field]\n"


def test_a_refusal_as_json_is_a_document_too(kith: Type, fake: FakeNode) -> None:
    fake.answers["POST", "/v1/services"] = refusing(400, "invalid_field", "no such name", "name")
    typed = kith("register", "Web!", "--port", "8000", "--api", fake.url, "--json")
    assert typed.code == 1
    assert json.loads(typed.out) == {
        "error": {"code": "invalid_field", "message": "no such name (field name) [invalid_field]"}
        | {"field": "name"}
    }


def test_deregister_removes_the_instance_that_is_named(kith: Type, fake: FakeNode) -> None:
    fake.answers["DELETE", "/v1/services/web/web-1"] = Answer(200, {})
    typed = kith("deregister", "web", "web-1", "--api", fake.url)
    assert (typed.code, typed.out) == (0, "deregistered web/web-1\n")
    assert [asked.method for asked in fake.asked] == ["DELETE"]


def test_deregister_without_id_removes_this_nodes_only_instance(kith: Type, fake: FakeNode) -> None:
    fake.answers["DELETE", "/v1/services/web/web-8000"] = Answer(204, raw=b"")
    typed = kith("deregister", "web", "--api", fake.url)
    assert (typed.code, typed.out) == (0, "deregistered web/web-8000\n")


def test_deregister_without_id_lists_the_ids_when_there_are_several(
    kith: Type, fake: FakeNode
) -> None:
    fake.answers["GET", "/v1/services/web"] = lookup_of(instance("web-2"), instance("web-1"))
    typed = kith("deregister", "web", "--api", fake.url)
    assert typed.code == 1
    assert "2 instances of 'web' are registered with this node: web-1, web-2\n" in typed.err


def test_deregister_says_where_an_instance_of_others_is(kith: Type, fake: FakeNode) -> None:
    one = instance("web-2", "critical", B_ID, "b")
    fake.answers["GET", "/v1/services/web"] = lookup_of(one)
    typed = kith("deregister", "web", "--api", fake.url)
    assert typed.code == 2
    assert "registered with b: ask there" in typed.err


def test_not_the_owner_is_told_whom_to_ask(kith: Type, fake: FakeNode) -> None:
    document = error("not_owner", "it is b's", owner_address="127.0.0.1:8410")
    fake.answers["DELETE", "/v1/services/web/web-2"] = Answer(403, document)
    typed = kith("deregister", "web", "web-2", "--api", fake.url)
    assert typed.code == 1
    assert "ask its owner: --api http://127.0.0.1:8410" in typed.err


def test_join_sends_the_address(kith: Type, fake: FakeNode) -> None:
    fake.answers["POST", "/v1/peers"] = Answer(202, {"address": "10.0.0.7:8401"})
    assert kith("join", "10.0.0.7:8401", "--api", fake.url).code == 0
    assert fake.asked[0].body == {"address": "10.0.0.7:8401"}


@pytest.mark.parametrize("address", ["10.0.0.7", ":8401", "a:0", "a:65536", "a:b", "a:¹"])
def test_join_refuses_what_is_no_address(kith: Type, fake: FakeNode, address: str) -> None:
    assert kith("join", address, "--api", fake.url).code == 64
    assert fake.asked == []


@pytest.mark.parametrize("ident", [B_ID, B_ID[:8]])
def test_forget_takes_an_id_or_its_start(kith: Type, fake: FakeNode, ident: str) -> None:
    fake.answers["DELETE", f"/v1/peers/{B_ID}"] = Answer(200, {})
    typed = kith("forget", ident, "--api", fake.url)
    assert (typed.code, typed.out) == (0, f"forgotten: {B_ID} (b)\n")


def test_forget_lists_the_members_that_a_start_could_mean(kith: Type, fake: FakeNode) -> None:
    peers = [peer("b", B_ID, 8410), peer("b2", B2_ID, 8420)]
    fake.answers["GET", "/v1/peers"] = Answer(200, {"peers": peers})
    typed = kith("forget", "bbbb", "--api", fake.url)
    assert typed.code == 1
    assert f"'bbbb' starts 2 ids: {B_ID} (b), {B2_ID} (b2)\n" in typed.err


def test_forget_of_a_name_says_which_id_it_has(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/peers"] = Answer(200, {"peers": [peer("carol", B_ID, 8410)]})
    typed = kith("forget", "carol", "--api", fake.url)
    assert typed.code == 2
    assert f"it is the name of {B_ID} (carol): give the id" in typed.err


class Keyboard(io.StringIO):
    """A terminal at which something is typed."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed_in", "code", "left"), [("yes\n", 0, True), ("\n", 1, False)])
def test_leave_asks_at_a_terminal(
    kith: Type,
    fake: FakeNode,
    monkeypatch: pytest.MonkeyPatch,
    typed_in: str,
    code: int,
    left: bool,
) -> None:
    fake.answers["POST", "/v1/leave"] = Answer(202, {"status": "leaving"})
    monkeypatch.setattr(sys, "stdin", Keyboard(typed_in))
    typed = kith("leave", "--api", fake.url)
    assert typed.code == code
    assert f"node {A_ID} (a) and its services leave the cluster for good" in typed.err
    assert any(asked.path == "/v1/leave" for asked in fake.asked) is left


def test_leave_with_yes_does_not_ask(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers["POST", "/v1/leave"] = Answer(202, {"status": "leaving"})
    monkeypatch.setattr(sys, "stdin", Keyboard(""))
    typed = kith("leave", "--yes", "--api", fake.url)
    assert (typed.code, typed.out) == (0, "the node leaves the cluster\n")


def test_version_needs_no_node(kith: Type) -> None:
    assert kith("version").out.startswith("kith ")
    assert kith("--version").out == kith("version").out
    assert set(json.loads(kith("version", "--json").out)) == {"version", "python"}
