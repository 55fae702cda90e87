#!/usr/bin/env python3
"""Validates the vectors beside it, made by the code, against docs/protocol.cddl.

Needs: pip install zcbor 'cbor2<6' 'cryptography>=50'
"""

from check import HERE, cbor, load, uncbor
from zcbor import DataTranslator

TYPES = DataTranslator.from_cddl((HERE.parents[1] / "docs" / "protocol.cddl").read_text(), 3).my_types


def fits(rule, data):
    try:
        TYPES[rule].validate_str(data)
        return True
    except Exception:  # zcbor has no one error for this
        return False


def objects():
    """Rule and bytes of every object in the vectors."""
    identity, envelope, group, ratchet = (load(f"{n}.json") for n in ("identity", "envelope", "group", "ratchet"))
    for name in ("app_key_certificate", "credential", "device_certificate", "leaf", "key_package"):
        yield name.replace("_", "-"), identity[name]
    yield "safety-number-qr", identity["safety_number"]["qr"]
    for kind in ("x25519", "x-wing"):
        for rule, name in (("envelope", "bytes"), ("header", "header"), ("standalone-sender", "sender")):
            yield rule, envelope[kind]["envelope"][name]
    for epoch in group["epochs"]:
        yield "group-state", epoch["state"]
    for commit in group["commits"]:
        yield "envelope", commit["envelope"]["bytes"]
        yield "commit-payload", commit["envelope"]["payload"]
        yield "commit-header", uncbor(commit["envelope"]["header"])[5]
    yield "welcome-payload", group["welcome"]["envelope"]["payload"]
    yield "message-content", group["message"]["content"]
    yield "sender-key", ratchet["sender_key_bytes"]
    reported = load("report.json")
    for rule in ("evidence", "stamp", "report"):
        yield rule, reported[rule]

    # What the vectors hold only in parts.
    id_, package = bytes(16), uncbor(identity["key_package"])
    commit, welcome = (uncbor(x["envelope"]["bytes"]) for x in (group["commits"][0], group["welcome"]))
    frame, stanza = group["message"]["frame"], commit[1][0][1]
    yield "request-payload", cbor([id_, package, bytes(64)])
    yield "message-content", cbor([bytes(16), 1, [True, group["leave_signature"]]])
    yield "message-content", cbor([bytes(16), 2, True])
    yield "message-content", cbor([bytes(16), 3, bytes(32)])
    key, picture = uncbor(group["epochs"][0]["state"])[4][0][1], ["image/png", "https://a.example/1", 0, 9, 0xc001, *[bytes(32)] * 3, 1, bytes(32), "", "a.png"]
    yield "info", cbor([["Trip", "", picture, 60], [[key, bytes(32), 9]]])
    yield "invite-link", cbor([1, id_, "hub.example", bytes(32), bytes(32), 9, "mimi://a.example/u/maria", key])
    yield "join-payload", cbor([id_, bytes(16), package, bytes(64)])
    yield "carried", cbor([bytes(16), group["message"]["content"]])
    for body in ([0, 0, "a.example"], [1, frame], [2, commit, None], [2, commit, welcome]):
        yield "post", cbor([id_, 0, body])
    part = [welcome[0], welcome[1][0][1], welcome[2]]
    for body in (
        [1, frame], [2, commit[0], None, commit[2]], [2, commit[0], stanza, commit[2]],
        [3, commit[0], commit[2], bytes(32), part], [4, None],
    ):
        yield "entry", cbor([id_, 1, body])


if __name__ == "__main__":
    count = 0
    for rule, data in objects():
        assert fits(rule, data), f"{rule} does not fit"
        assert not fits(rule, cbor([uncbor(data)])), f"{rule} fits what it should not"
        count += 1
    print(count, "objects fit docs/protocol.cddl")
