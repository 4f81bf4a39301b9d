"""One owner's branch: what applies, what is known, old, a gap, a fork, and what is refused."""

from dataclasses import replace

import pytest

from protocol import limits
from protocol.agreement.evidence import Evidence, check_evidence, unpack_evidence
from protocol.bodies import key_of, record_of
from protocol.branch import Branch
from protocol.commits import Change, Commit, Dot, Manifest
from protocol.errors import RefusedError, RemoteProtocolError
from protocol.history.outcomes import AppliedStep, Delta, Forked, Gap, Known, Old
from protocol.signing import Trust, cluster_id

from .author import Author, changes_of
from .peer_world import TRUST, service

ONE, TWO, THREE = service(port=1), service(port=2), service(port=3)


def reader_of(author: Author) -> Branch:
    return Branch(author.chain, TRUST)


def state(branch: Branch) -> object:
    return branch.head, dict(branch.records), dict(branch.bodies), branch.preview(())


def expect_refusal(branch: Branch, *steps: Commit, code: str) -> None:
    before = state(branch)
    with pytest.raises(RemoteProtocolError) as refused:
        branch.offer(steps)
    assert refused.value.code == code
    assert state(branch) == before, "a refusal leaves the branch as it was"


def test_a_commit_on_our_head_is_applied_and_known_afterwards() -> None:
    author = Author()
    branch = reader_of(author)
    first, second = author.commit(ONE, TWO), author.commit(THREE, remove=(key_of(ONE),))

    outcome = branch.offer([first])
    assert outcome == AppliedStep(
        author.id,
        (Delta(key_of(ONE), None, ONE), Delta(key_of(TWO), None, TWO)),
        (first,),
        (first.changes(),),
    )
    assert isinstance(branch.offer([second]), AppliedStep)

    assert list(branch.bodies.values()) == [TWO, THREE]
    assert branch.head == second.head
    assert branch.offer([second]) == Known()
    assert branch.offer([first]) == Known()


def test_what_follows_something_we_lack_is_a_gap() -> None:
    author = Author()
    branch = reader_of(author)
    commits = [author.commit(one) for one in (ONE, TWO, THREE)]

    assert branch.offer(commits[1:2]) == Gap()
    branch.offer(commits[:1])
    assert branch.offer(commits[2:]) == Gap()
    assert isinstance(branch.offer(commits), AppliedStep)
    assert branch.offer(commits[:2]) == Known()


def test_what_was_long_ago_is_old() -> None:
    author = Author()
    branch = reader_of(author)
    commits = [author.commit(service(port=port)) for port in range(1, limits.HEADERS_KEPT + 3)]
    for commit in commits:
        branch.offer([commit])

    assert branch.offer(commits[:1]) == Old()


def test_two_commits_on_one_parent_are_a_fork_with_evidence_that_stands_alone() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE)])
    ours, theirs = author.draft(TWO), author.draft(THREE)
    branch.offer([ours])
    before = state(branch)

    outcome = branch.offer([theirs])

    assert isinstance(outcome, Forked)
    assert state(branch) == before
    (proof,) = outcome.proofs
    evidence = unpack_evidence(proof.pack())
    check_evidence(evidence, author.chain, TRUST)
    assert {evidence.first.hash, evidence.second.hash} == {ours.head.hash, theirs.head.hash}
    assert evidence.first.hash < evidence.second.hash
    other = reader_of(author)
    other.offer([(author.branch.since(b"") or [ours])[-1]])
    other.offer([theirs])
    assert other.offer([ours]) == outcome, "whichever came first"
    with pytest.raises(RefusedError, match="signature"):
        check_evidence(evidence, author.chain, Trust(cluster_id("other")))
    with pytest.raises(RefusedError, match="signature"):
        check_evidence(evidence, Author(9).chain, TRUST)


def test_two_commits_of_one_dot_and_other_parents_are_a_fork() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE)])
    head = author.commit(TWO).head
    branch.offer([(author.branch.since(b"") or [author.draft()])[-1]])
    twin = author.signed((), parents=(bytes(32),), version=head.version)

    assert isinstance(branch.offer([twin]), Forked)


def halves(proofs: tuple[Evidence, ...]) -> list[set[bytes]]:
    return [{proof.first.hash, proof.second.hash} for proof in proofs]


def test_a_commit_on_the_parent_of_one_step_and_with_the_dot_of_another_forks_from_both() -> None:
    author = Author()
    branch = reader_of(author)
    first, second, third = (author.commit(one) for one in (ONE, TWO, THREE))
    branch.offer([first, second, third])
    theirs = author.signed((), parents=(first.head.hash,), version=third.head.version)

    forked = branch.offer([theirs])

    assert isinstance(forked, Forked)
    assert halves(forked.proofs) == [
        {second.head.hash, theirs.head.hash},
        {third.head.hash, theirs.head.hash},
    ]
    whole = Manifest(theirs.head, ())
    assert branch.adopt(whole) == forked


def test_of_steps_that_travel_together_all_that_fork_are_found() -> None:
    author = Author()
    branch = reader_of(author)
    first = author.commit(ONE)
    ours = author.signed((), parents=(first.head.hash,), version=9)
    branch.offer([first])
    branch.offer([ours])
    on_one_parent = author.signed(changes_of(TWO), parents=(first.head.hash,), version=8)
    with_one_dot = author.signed((), parents=(on_one_parent.head.hash,), version=9)

    forked = branch.offer([on_one_parent, with_one_dot])

    assert isinstance(forked, Forked)
    assert halves(forked.proofs) == [
        {ours.head.hash, on_one_parent.head.hash},
        {ours.head.hash, with_one_dot.head.hash},
    ]


def test_a_fork_some_steps_back_is_found_among_those_we_keep() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE)])
    theirs = author.draft(THREE)
    for port in range(10, 20):
        branch.offer([author.commit(service(port=port))])

    assert isinstance(branch.offer([theirs]), Forked)


def test_a_manifest_of_another_branch_is_a_fork_too_and_never_replaces_ours() -> None:
    author, twin = Author(), Author()
    shared = author.commit(ONE)
    twin.branch.offer([shared])
    branch = reader_of(author)
    branch.offer([shared])
    branch.offer([author.commit(TWO)])
    twin.commit(THREE)
    before = state(branch)

    assert isinstance(branch.adopt(twin.manifest()), Forked)
    assert state(branch) == before
    lying = replace(twin.manifest(), head=replace(twin.manifest().head, signature=bytes(64)))
    with pytest.raises(RefusedError, match="not signed"):
        branch.adopt(lying)


def test_a_merge_settles_the_dispute_even_behind_later_commits_or_a_manifest() -> None:
    author, twin = Author(), Author()
    shared = author.commit(ONE)
    twin.branch.offer([shared])
    ours, theirs = author.commit(TWO), twin.commit(THREE)
    merge = author.signed(
        changes_of(TWO, THREE), parents=(ours.head.hash, theirs.head.hash), version=10
    )
    author.branch.offer([merge])
    later = author.commit(service(port=4))

    for way in ("apart", "together", "manifest"):
        branch = reader_of(author)
        branch.offer([shared])
        branch.offer([ours])
        forked = branch.offer([theirs])
        assert isinstance(forked, Forked)
        (branch.evidence,) = forked.proofs
        if way == "apart":
            branch.offer([merge])
            branch.offer([later])
        elif way == "together":
            branch.offer([merge, later])
        else:
            branch.adopt(author.manifest())
            assert branch.disputed, "a manifest does not show what it merged"
            false = replace(merge, head=replace(merge.head, signature=bytes(64)))
            expect_refusal(branch, false, code="bad_signature")
            assert branch.disputed
            assert branch.offer([merge]) == Old()
        assert not branch.disputed
        assert branch.merged(*forked.proofs)


def test_a_wrong_state_root_leaves_everything_as_it_was() -> None:
    author = Author()
    branch = reader_of(author)
    first = author.commit(ONE)
    branch.offer([first])
    wrong = author.signed(changes_of(TWO), parents=(first.head.hash,), version=2, root=bytes(32))

    expect_refusal(branch, wrong, code="root_mismatch")


def test_what_another_owner_signed_is_foreign() -> None:
    author = Author()
    branch = reader_of(author)

    expect_refusal(branch, Author(2).commit(ONE), code="foreign")
    stranger = Author(2)
    stranger.commit(ONE)
    with pytest.raises(RefusedError) as refused:
        branch.adopt(stranger.manifest())
    assert refused.value.code == "foreign"


def test_a_bad_signature_or_other_changes_are_refused() -> None:
    author = Author()
    branch = reader_of(author)
    good = author.commit(ONE)

    expect_refusal(
        branch, replace(good, head=replace(good.head, signature=bytes(64))), code="bad_signature"
    )
    expect_refusal(
        branch, Commit(good.head, author.draft(TWO).changes_encoded), code="bad_signature"
    )
    abroad = Branch(author.chain, Trust(cluster_id("other")))
    expect_refusal(abroad, good, code="bad_signature")


def test_a_replaced_key_signs_nothing_any_more() -> None:
    author = Author()
    branch = reader_of(author)
    first, stolen = author.commit(ONE), author.draft(TWO)
    author.commit(TWO)
    branch.offer([first])
    author.rotate()
    branch.chain = author.chain

    expect_refusal(branch, stolen, code="stale")
    author.commit(THREE)
    assert isinstance(branch.adopt(author.manifest()), AppliedStep)


def test_a_key_we_have_not_heard_of_is_a_gap() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE)])
    author.rotate()

    assert branch.offer([author.commit(TWO)]) == Gap()


def test_steps_that_travel_together_stand_or_fall_together() -> None:
    author = Author()
    commits = [author.commit(service(port=port)) for port in range(1, 6)]
    loose = author.signed(changes_of(TWO), parents=(bytes(32),), version=99)

    expect_refusal(reader_of(author), *commits[:2], loose, code="malformed")
    expect_refusal(reader_of(author), commits[1], commits[0], code="malformed")
    middle = Commit(commits[1].head, commits[2].changes_encoded)
    expect_refusal(reader_of(author), commits[0], middle, commits[2], code="bad_signature")
    last = replace(commits[4], head=replace(commits[4].head, signature=bytes(64)))
    expect_refusal(reader_of(author), *commits[:4], last, code="bad_signature")
    assert isinstance(reader_of(author).offer(commits), AppliedStep)


def test_of_steps_partly_known_the_rest_is_applied() -> None:
    author = Author()
    branch = reader_of(author)
    commits = [author.commit(service(port=port)) for port in range(1, 6)]
    branch.offer(commits[:2])

    outcome = branch.offer(commits)

    assert isinstance(outcome, AppliedStep)
    assert outcome.commits == tuple(commits[2:])


def test_a_body_that_breaks_a_rule_refuses_its_commit() -> None:
    author = Author()
    record = record_of(replace(ONE, port=0))
    bad = author.signed(
        (*changes_of(TWO), Change(record.kind, record.key, record.body)), parents=(), version=1
    )

    expect_refusal(reader_of(author), bad, code="limit")


def test_a_manifest_says_all_present_is_present_absent_is_gone() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE, TWO)])
    author.commit(THREE, remove=(key_of(ONE),))

    outcome = branch.adopt(author.manifest())

    assert outcome == AppliedStep(
        author.id,
        (Delta(key_of(ONE), ONE, None), Delta(key_of(THREE), None, THREE)),
        (),
        (),
        before=Dot(0, 1),
    )
    assert branch.manifest() == author.manifest()
    assert branch.adopt(author.manifest()) == Known()


def test_an_incomplete_padded_or_older_manifest_is_refused() -> None:
    author = Author()
    branch = reader_of(author)
    author.commit(ONE)
    older = author.manifest()
    author.commit(TWO, THREE)
    whole = author.manifest()
    for records in (
        whole.records[1:], (*whole.records, whole.records[0]),
        (*whole.records, record_of(service(port=9))),
    ):  # fmt: skip
        with pytest.raises(RefusedError) as refused:
            branch.adopt(Manifest(whole.head, records))
        assert refused.value.code == "root_mismatch"
        assert branch.head is None
    branch.adopt(whole)
    assert branch.adopt(older) == Old()


def test_more_records_than_an_owner_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECORDS_PER_OWNER_MAX", 3)
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE, TWO, THREE)])
    more = author.draft(service(port=4))

    expect_refusal(branch, more, code="limit")
    assert isinstance(
        branch.offer([author.commit(service(port=4), remove=(key_of(ONE),))]), AppliedStep
    )


def test_lagging_peers_get_the_steps_that_they_lack_while_those_are_kept() -> None:
    author = Author()
    commits = [author.commit(service(port=port)) for port in range(1, 40)]
    kept = commits[-limits.HEADERS_KEPT :]

    assert author.branch.since(commits[-3].head.hash) == commits[-2:]
    assert author.branch.since(commits[-1].head.hash) == []
    assert author.branch.since(kept[0].head.parents[0]) == kept
    assert author.branch.since(commits[0].head.hash) is None
    assert author.branch.since(b"") is None
    assert author.branch.since(bytes(32)) is None
    short = Author()
    assert short.branch.since(b"") is None
    first = short.commit(ONE)
    assert short.branch.since(b"") == [first]


def test_what_was_on_disk_is_taken_back_if_its_root_comes_out() -> None:
    author = Author()
    commits = [author.commit(one) for one in (ONE, TWO)]
    manifest = author.manifest()

    branch = reader_of(author)
    branch.restore(manifest.head, commits, manifest.records, reaped=False)
    assert branch.manifest() == manifest
    assert branch.since(commits[0].head.hash) == commits[1:]

    empty = reader_of(author)
    with pytest.raises(RefusedError):
        empty.restore(manifest.head, commits, manifest.records[1:], reaped=False)
    assert empty.head is None


def test_reaping_keeps_the_head_and_refuses_old_commits_for_ever() -> None:
    author = Author()
    branch = reader_of(author)
    commits = [author.commit(one) for one in (ONE, TWO)]
    branch.offer(commits)

    assert branch.reap() == (Delta(key_of(ONE), ONE, None), Delta(key_of(TWO), TWO, None))

    assert branch.head == commits[1].head
    assert branch.manifest() is None
    assert not branch.bodies
    assert branch.offer(commits[:1]) in (Old(), Known())
    assert branch.offer(commits[1:]) == Known()
    assert not branch.bodies


def test_an_owner_that_returns_after_reaping_is_taken_by_its_manifest() -> None:
    author = Author()
    branch = reader_of(author)
    branch.offer([author.commit(ONE)])
    branch.reap()
    back = author.commit(TWO)

    assert branch.offer([back]) == Gap(), "we no longer have what it builds on"
    assert isinstance(branch.adopt(author.manifest()), AppliedStep)
    assert list(branch.bodies.values()) == [ONE, TWO]
    assert not branch.reaped
