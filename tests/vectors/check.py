#!/usr/bin/env python3
"""A second implementation of the reading side, written from docs/protocol.md alone.

Opens every envelope, checks every signature, replays the group and decrypts the messages of the vectors beside it.
Needs: pip install cbor2 'cryptography>=50'
"""

import hashlib
import hmac as hmac_module
import io
import json
import pathlib

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HERE = pathlib.Path(__file__).parent


# 2.1, 2.3: signatures, encoding, labels

def cbor(value):
    return cbor2.dumps(value, canonical=True)


def uncbor(data):
    """One value, all of the bytes, and only in its one encoding."""
    stream = io.BytesIO(data)
    value = cbor2.load(stream)
    assert stream.tell() == len(data) and cbor(value) == data, "not the one encoding"
    return value


def sha256(data):
    return hashlib.sha256(data).digest()


def hash_(label, *fields):
    return sha256(cbor([label, *fields]))


def hmac(key, message):
    return hmac_module.new(key, message, hashlib.sha256).digest()


def expand(prk, info, length):
    return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=info).derive(prk)


def expand_label(secret, label, context, length):
    return expand(secret, cbor([label, context, length]), length)


def signature_input(label, *fields):
    return b"convivio sig 1\0" + hash_(label, *fields)


def verify(key, signature, label, *fields):
    # Not the rule of 2.1 in full: for honest signatures all rules agree.
    Ed25519PublicKey.from_public_bytes(key).verify(signature, signature_input(label, *fields))


def statement(body, signature, label, key):
    verify(key, signature, label, body)
    return uncbor(body)


# 2.5: padding

def padme(length):
    if length < 2:
        return length
    e = length.bit_length() - 1
    s = e.bit_length() if e > 1 else 1
    mask = (1 << (e - s)) - 1
    return (length + mask) & ~mask


def unpad(padded):
    content = cbor2.load(io.BytesIO(padded))
    head = cbor(content)
    assert padded == head + bytes(padme(len(head)) - len(head)), "padding"
    return content


# 3: identity

def app_key(certificate):
    body, signature = certificate
    domain, root, key, validity = statement(body, signature, "sign app key", uncbor(body)[1])
    return domain, root, key, validity


def credential(item):
    body, signature, certificate = item
    domain, root, key, _ = app_key(certificate)
    user, identity, _ = statement(body, signature, "sign credential", key)
    assert user.startswith(f"mimi://{domain}/u/")
    return user, identity, (domain, root)


def leaf(encoded, trusted=None):
    """Verifies the chain of trust of a leaf; what it says."""
    body, signature, device_identity = uncbor(encoded)
    version, suite, identity_hash, signature_key, seal_key, capabilities, validity, source = uncbor(body)
    assert version == 1 and suite == 1 and suite in capabilities[0]
    assert identity_hash == hash_("hash device identity", device_identity)
    cred, cert = uncbor(device_identity)
    user, identity, (domain, root) = credential(cred)
    assert trusted is None or root in dict(trusted)[domain]
    cert_user, device, device_key, serial, _ = statement(*cert, "sign device certificate", identity)
    assert cert_user == user
    verify(device_key, signature, "sign leaf", body)
    return {
        "user": user, "identity": identity, "device": device, "domain": domain, "serial": serial,
        "signature_key": signature_key, "seal_key": seal_key, "validity": validity, "source": source,
    }


def completed(refreshed, known):
    """A commit's leaf, encoded whole, beside the committer's leaf in the roster."""
    body, signature, device_identity = refreshed
    known_identity = uncbor(known)[2]
    assert device_identity != known_identity, "repeats what is known"
    return cbor([body, signature, known_identity if device_identity is None else device_identity])


def leaf_hash(encoded):
    body, signature, _ = uncbor(encoded)
    return hash_("hash leaf", body, signature)


def safety_half(user, key):
    h = hash_("safety number", 1, user, key)
    for _ in range(4095):
        h = hash_("safety number", 1, h, key)
    return "".join(f"{int.from_bytes(h[5 * k:5 * k + 5], 'big') % 100000:05}" for k in range(6))


# 4: envelopes

def l_extract(suite, salt, label, ikm):
    return hmac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)


def l_expand(suite, prk, label, info, length):
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def hpke_open(kem, shared, info, sealed):
    suite = b"HPKE" + kem + b"\0\x01" + b"\0\x03"
    context = b"\0" + l_extract(suite, b"", b"psk_id_hash", b"") + l_extract(suite, b"", b"info_hash", info)
    secret = l_extract(suite, shared, b"secret", b"")
    key = l_expand(suite, secret, b"key", context, 32)
    return ChaCha20Poly1305(key).decrypt(l_expand(suite, secret, b"base_nonce", context, 12), sealed, b"")


def x25519(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def open_stanza_x25519(secret, enc, info, stanza):
    suite = b"KEM\0\x20"
    eae = l_extract(suite, b"", b"eae_prk", x25519(secret, enc))
    shared = l_expand(suite, eae, b"shared_secret", enc + x25519_public(secret), 32)
    return hpke_open(b"\0\x20", shared, info, stanza)


def xwing_keys(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    public = mlkem.public_key().public_bytes_raw() + x25519_public(expanded[64:])
    return mlkem, expanded[64:], public


def xwing_decapsulate(seed, ct):
    mlkem, secret, public = xwing_keys(seed)
    parts = mlkem.decapsulate(ct[:1088]) + x25519(secret, ct[1088:]) + ct[1088:] + public[1184:]
    return hashlib.sha3_256(parts + b"\\.//^\\").digest()


LABELS = {1: "sign envelope", 2: "sign commit", 3: "sign welcome", 4: "sign request"}
TAILS = {1: 0, 2: 32, 3: 0, 4: 0}


def open_envelope(envelope, secret, id_, find_key, expected):
    """4.5. `find_key` says from sender and payload whose key must have signed."""
    header, stanzas, body = uncbor(envelope)
    assert [i for i, _ in stanzas] == sorted({i for i, _ in stanzas})
    stanza = dict(map(tuple, stanzas))[id_]
    version, kind, suite, enc, commitment, public = uncbor(header)
    assert version == 1 and kind == expected and suite == 1
    header_hash = hash_("envelope header", header)
    if enc is not None:
        info = cbor(["envelope stanza", suite, enc, b"", x25519_public(secret), id_, header_hash])
        seed = open_stanza_x25519(secret, enc, info, stanza)
        assert x25519_public(expand_label(seed, "envelope ephemeral", b"", 32)) == enc
    else:
        ct, sealed = stanza[:1120], stanza[1120:]
        info = cbor(["envelope stanza", suite, b"", ct, xwing_keys(secret)[2], id_, header_hash])
        seed = hpke_open(b"\x64\x7a", xwing_decapsulate(secret, ct), info, sealed)
        coins = expand_label(seed, "envelope coins", cbor([list(dict(map(tuple, stanzas))).index(id_), id_]), 64)
        assert x25519_public(coins[32:]) == ct[1088:]
    assert expand_label(seed, "envelope commitment", b"", 32) == commitment
    keys = expand_label(seed, "envelope content key", header_hash, 44)
    text = ChaCha20Poly1305(keys[:32]).decrypt(keys[32:], body, header)
    padded, sender, ids, signature, tail = uncbor(text)
    payload = unpad(padded)
    assert len(tail) == TAILS[kind] and (ids is None) == (kind in (2, 3))
    assert ids is None or (id_ in ids and ids == sorted(set(ids)))
    verify(find_key(sender, payload), signature, LABELS[kind], header, sender, ids, padded)
    return {
        "seed": seed, "header": header, "public": public, "sender": sender, "payload": payload, "padded": padded,
        "signature": signature, "tail": tail, "body": body,
        "id": sha256(cbor(["envelope id", header, sender, ids, padded])),
    }


# 5: the group

def context_hash(state):
    version, suite, group, epoch, users, barred, leaves, next_leaf, policy, info, time, transcript = state
    members = hash_(
        "hash members", hash_("hash users", users), hash_("hash barred", barred),
        hash_("hash leaves", [[i, leaf_hash(l)] for i, l in leaves]), next_leaf, hash_("hash policy", policy),
        hash_("hash info", info), transcript,
    )
    return hash_("group context", version, suite, group, epoch, time, members)


def schedule(joiner, state):
    context = context_hash(state)
    epoch = expand_label(hmac(joiner, bytes(32)), "epoch", context, 32)
    names = ("header key", "confirm key", "exporter", "authenticator", "request", "sender root", "init")
    secrets = {name: expand_label(epoch, name, b"", 32) for name in names}
    secrets["context"] = context
    secrets["epoch"] = epoch
    secrets["chains"] = {i: expand_label(secrets["sender root"], "sender", cbor(i), 32) for i, _ in state[6]}
    return secrets


def joiner_secret(init, seed, state):
    commit_secret = expand_label(seed, "commit secret", b"", 32)
    return expand_label(hmac(init, commit_secret), "joiner", context_hash(state), 32)


def proposals_hash(proposals):
    return hash_("hash proposals", [hash_("hash proposal", p) for p in proposals])


def process(state, init, envelope, secret, own):
    """5.4, for the two kinds of commit in the vectors: adds, and heals. The next state and its secrets."""
    def committer(sender, _):
        return leaf(dict(map(tuple, state[6]))[uncbor(sender)])["signature_key"]

    commit = open_envelope(envelope, secret, cbor(own), committer, 2)
    group, epoch, time, _seen, opened, dropped = uncbor(commit["public"])
    parent, proposals, fresh = uncbor(commit["payload"])
    by, apps = uncbor(commit["sender"]), state[8][0]
    assert [group, epoch] == state[2:4] and parent == state[11] and time >= state[10]
    next_state = list(state)
    users, leaves = list(state[4]), dict(map(tuple, state[6]))
    expected = []
    for proposal in proposals:
        assert proposal[0] == 6, "only adds are read here"
        added = leaf(cbor(proposal[1]), apps)
        assert added["source"][0] == 0
        users.append([added["user"], added["identity"], 1, 0])
        expected.append([next_state[7], added["domain"]])
        leaves[next_state[7]] = cbor(proposal[1])
        next_state[7] += 1
    assert opened == expected and dropped == []
    fresh = completed(fresh, leaves[by])
    new, old = leaf(fresh, apps), leaf(leaves[by])
    assert new["source"] == [1, group, by, parent, proposals_hash(proposals)]
    assert all(new[k] == old[k] for k in ("user", "identity", "device"))
    leaves[by] = fresh
    next_state[3:7] = epoch + 1, sorted(users), state[5], [[i, leaves[i]] for i in sorted(leaves)]
    next_state[10] = time
    next_state[11] = hash_(
        "transcript", parent, commit["header"], commit["sender"], commit["padded"], commit["signature"])
    secrets = schedule(joiner_secret(init, commit["seed"], next_state), next_state)
    assert hmac(secrets["confirm key"], next_state[11]) == commit["tail"], "confirmation"
    return next_state, secrets, commit


def join(welcome, package, init_seed, entry_hash):
    """5.5"""
    package_leaf, init_key = uncbor(package)
    own = leaf(package_leaf)
    assert own["source"][1] == hash_("hash init key", init_key) and xwing_keys(init_seed)[2] == init_key

    def inviter(sender, payload):
        return leaf(dict(map(tuple, uncbor(payload)[6][6]))[uncbor(sender)])["signature_key"]

    opened = open_envelope(welcome, init_seed, leaf_hash(package_leaf), inviter, 3)
    joiner, confirmation, commit_entry, parent, hashes_, replaced, state = uncbor(opened["payload"])
    assert commit_entry == entry_hash and opened["public"] == cbor(state[2]) and state[11] != parent
    leaves = dict(map(tuple, state[6]))
    index = next(i for i, l in leaves.items() if l == package_leaf)
    for encoded in leaves.values():
        leaf(encoded, state[8][0])
    by = uncbor(opened["sender"])
    assert leaf(leaves[by])["source"] == [1, state[2], by, parent, hash_("hash proposals", hashes_)]
    olds = {new: (old, consent) for new, old, consent in replaced}
    mine = [5, olds[index][0], uncbor(package_leaf), olds[index][1]] if index in olds else [6, uncbor(package_leaf)]
    assert hash_("hash proposal", mine) in hashes_
    secrets = schedule(joiner, state)
    assert hmac(secrets["confirm key"], state[11]) == confirmation
    return state, secrets, index


# 6: messages

def mask(header_key, salt, header):
    cipher = Cipher(algorithms.ChaCha20(header_key, salt), mode=None).encryptor()
    return cipher.update(header)


def decrypt(frame, header_key, context, chain, key, expected):
    """A frame of `expected` leaf and generation; `chain` is that generation's chain key."""
    assert frame[0] == 0x11 and len(frame) >= 126
    clear, salt, sealed = frame[:45], frame[21:37], frame[45:]
    header = mask(header_key, salt, frame[37:45])
    at = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
    assert at == expected
    keys = expand_label(hmac(chain, b"\1"), "message", salt, 44)
    text = ChaCha20Poly1305(keys[:32]).decrypt(keys[32:], sealed, cbor(["message aad", context, clear]))
    padded, signature = text[:-64], text[-64:]
    verify(key, signature, "sign message", context, *at, salt, sha256(padded))
    return unpad(padded)


# 12: reports

def pad(content):
    head = cbor(content)
    return head + bytes(padme(len(head)) - len(head))


def report(data, trusted, hub):
    """Verifies a report as whoever gets it does; who said what, where and when."""
    version, evidence, text, stamp = uncbor(data)
    e_version, context, encoded, index, generation, proof, seen, nonce = evidence
    message_key, salt, header, signature = proof
    stamped_group, seq, frame_hash, received, stamp_signature = stamp
    _, suite, group, epoch, began, _ = context
    assert version == e_version == context[0] == suite == 1
    verify(hub, stamp_signature, "sign stamp", stamped_group, seq, frame_hash, received)
    context_hash = hash_("group context", *context)
    content = cbor([nonce, 0, text])
    padded = pad(cbor([seen, content]))
    clear = b"\x11" + group + (epoch % 2**32).to_bytes(4, "big") + salt + header
    keys = expand_label(message_key, "message", salt, 44)
    aad = cbor(["message aad", context_hash, clear])
    frame = clear + ChaCha20Poly1305(keys[:32]).encrypt(keys[32:], padded + signature, aad)
    assert stamped_group == group and frame_hash == sha256(frame)
    author = leaf(encoded, trusted)
    verify(author["signature_key"], signature, "sign message", context_hash, index, generation, salt, sha256(padded))
    id_ = hash_("message id", group, author["user"], author["device"], content)
    return frame, {
        "user": author["user"], "device": author["device"], "content": text, "id": id_, "group": group,
        "epoch": epoch, "began": began, "seq": seq, "seen_at": received,
    }


# The files

def load(name):
    def unhex(value):
        if isinstance(value, dict):
            return {k: v if k in ("about", "digits", "user", "users") else unhex(v) for k, v in value.items()}
        if isinstance(value, list):
            return [unhex(v) for v in value]
        return bytes.fromhex(value) if isinstance(value, str) else value
    return unhex(json.loads((HERE / name).read_text()))


def check_identity():
    v = load("identity.json")
    parts = uncbor(v["key_package"])
    assert parts[0] == v["leaf"] and leaf_hash(v["leaf"]) == v["leaf_hash"]
    assert hash_("hash init key", parts[1]) == v["init_key_hash"] and xwing_keys(v["init_seed"])[2] == parts[1]
    said = leaf(v["leaf"])
    public = lambda seed: Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert said["identity"] == public(v["identity_seed"]) and said["signature_key"] == public(v["signing_seed"])
    assert said["seal_key"] == x25519_public(v["seal_secret"]) == v["seal_key"]
    assert app_key(uncbor(v["app_key_certificate"]))[1:3] == (public(v["root_seed"]), public(v["app_key_seed"]))
    # Ed25519 signs deterministically, so the leaf's signature can be made again.
    body, signature, device_identity = uncbor(v["leaf"])
    assert hash_("hash device identity", device_identity) == v["device_identity_hash"] == uncbor(body)[2]
    assert uncbor(device_identity) == [uncbor(v["credential"]), uncbor(v["device_certificate"])]
    assert Ed25519PrivateKey.from_private_bytes(v["device_seed"]).sign(signature_input("sign leaf", body)) == signature
    n = v["safety_number"]
    pairs = list(zip(n["users"], n["identity_keys"]))
    assert "".join(sorted(safety_half(*pair) for pair in pairs)) == n["digits"]
    assert cbor(["convivio safety number", 1, *map(list, pairs)]) == n["qr"]


def check_envelope():
    v = load("envelope.json")
    by_sender = lambda sender, _: uncbor(sender)[0]
    for stanza in v["x25519"]["stanzas"]:
        envelope = v["x25519"]["envelope"]
        opened = open_envelope(envelope["bytes"], stanza["seal_secret"], stanza["id"], by_sender, 1)
        assert opened["payload"] == b"hello" and opened["seed"] == envelope["seed"]
        assert stanza["id"] == hash_("envelope recipient", stanza["seal_key"])
    x = v["x-wing"]
    opened = open_envelope(x["envelope"]["bytes"], x["init_seed"], x["id"], by_sender, 1)
    assert opened["payload"] == b"hello" and opened["seed"] == x["envelope"]["seed"]
    assert xwing_decapsulate(x["init_seed"], x["stanza"][:1120]) == x["shared_secret"]


def check_group():
    v = load("group.json")

    def same(secrets, state, epoch):
        assert state == uncbor(epoch["state"]) and secrets["context"] == epoch["context_hash"]
        for name in ("header key", "confirm key", "exporter", "authenticator", "request", "sender root"):
            assert secrets[name] == epoch[name.replace(" ", "_")], name
        assert secrets["init"] == epoch["init_secret"]
        assert [[i, k] for i, k in secrets["chains"].items()] == epoch["chains"]
        exported = expand_label(secrets["exporter"], "export", cbor(["call", b"\1"]), 32)
        assert exported == epoch["export_call_01"]

    founding, adding, healing = v["epochs"]
    state = uncbor(founding["state"])
    secrets = schedule(founding["joiner_secret"], state)
    same(secrets, state, founding)
    for commit, epoch in zip(v["commits"], (adding, healing)):
        state, secrets, opened = process(
            state, secrets["init"], commit["envelope"]["bytes"], commit["seal_secret"], commit["reader"])
        same(secrets, state, epoch)
        assert hash_("commit entry", opened["header"], opened["body"]) == commit["entry_hash"]
        post = [2, uncbor(commit["envelope"]["bytes"]), None]
        assert hash_("post id", state[2], post) == commit["post_id_without_welcome"]
    w = v["welcome"]
    entry = v["commits"][0]["entry_hash"]
    joined, joined_secrets, index = join(w["envelope"]["bytes"], w["key_package"], w["init_seed"], entry)
    same(joined_secrets, joined, adding)
    assert index == 1

    author = leaf(dict(map(tuple, state[6]))[0])
    message = v["message"]
    seen, content = uncbor(decrypt(
        message["frame"], secrets["header key"], secrets["context"], secrets["chains"][0], author["signature_key"], (0, 0)))
    assert seen == v["commits"][1]["entry_hash"][:16] and content == message["content"] and uncbor(content) == [b"\xee" * 16, 0, b"ciao"]
    assert hash_("message id", state[2], author["user"], author["device"], content) == message["id"]
    verify(author["signature_key"], v["leave_signature"], "sign leave", state[2], 0, True)


def check_ratchet():
    v = load("ratchet.json")
    leaf_index = int.from_bytes(v["leaf"], "big")
    for n, m in enumerate(v["messages"]):
        content = decrypt(
            m["frame"], v["header_key"], v["context_hash"], m["chain_key"], v["verify_key"], (leaf_index, n))
        assert content == m["content"]
        salt = expand_label(m["message_key"], "salt", m["random"] + sha256(m["padded_content"]), 16)
        assert salt == m["salt"] == m["frame"][21:37]
        if n + 1 < len(v["messages"]):
            assert hmac(m["chain_key"], b"\2") == v["messages"][n + 1]["chain_key"]


def check_report():
    v = load("report.json")
    trusted = uncbor(v["trusted_apps"])
    frame, verified = report(v["report"], trusted, v["hub_key"])
    assert verified == v["verified"] and frame == v["frame"] == load("group.json")["message"]["frame"]
    parts = uncbor(v["report"])
    assert cbor(parts[1]) == v["evidence"] and cbor(parts[3]) == v["stamp"]
    assert hash_("group context", *parts[1][1]) == v["context_hash"]
    for data, apps in ((cbor([*parts[:2], b"addio", parts[3]]), trusted), (v["report"], [])):
        try:
            report(data, apps, v["hub_key"])
        except (AssertionError, KeyError):
            continue
        raise AssertionError("a false report holds")


if __name__ == "__main__":
    for check in (check_identity, check_envelope, check_group, check_ratchet, check_report):
        check()
        print(check.__name__, "ok")
