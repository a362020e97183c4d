#!/usr/bin/env python3
"""Issues, narrows, seals and binds chartvault's capability tokens, and proves and attests to them, without the library.

Written from docs/format.md and docs/format/token.md alone; each part names the sections that it follows. Takes orders
in JSON from standard input, one object or a list of them, and prints a line of text for each. A token may be given as
the place, from 0, of the order that made it. Seeds and ids are hexadecimal, times are seconds since 1970; what may be
left out stands in brackets.

  {"do": "key", "of": "issuer", ["seed"]}                      seed and public key; of: issuer, holder, device, attester
  {"do": "issue", "issuer": SEED, "vault", "blocks": [BLOCK, …], ["proof"]}     proof: open (if left out), sealed, bound
  {"do": "narrow", "token", "blocks": [BLOCK, …], ["key": SEED], ["proof"]}     key: where the token holds none
  {"do": "possession", "token", "challenge", "purpose", "key": SEED, ["transcript"]}
  {"do": "device", "token", "challenge", "purpose", "key": SEED, ["transcript"]}
  {"do": "attest", "token", "attester": SEED, "claim", "issued_at", "not_after", ["nonce"], ["challenge"]}

A BLOCK is {"issued_at", "items": {…}, ["nonce"], ["seed": SEED], ["holder": "cvhk1_…"]}; seed or holder give its
next_pub, and items go by their names:

  subject "dr.osei", roles [["nurse", 2]], not_before 0, not_after 0, actions ["read"], kinds "all" or ["note"],
  patients "all" or [ID], purposes ["TREAT"], sensitivity "N", max_uses 1, max_depth 7, sign_in [1, 60],
  device "cvdk1_…", session [60, 600], attestations [["cvak1_…", 1, 60]], facility ["ward-3"],
  emergency [["read"], "R", 900]

For those who test what checks tokens, blocks and tokens can be forged: see `forged_body` and `forged_token`.
Needs Python 3.10 and the package `cryptography`. A wrong order: one line on standard error, and exit code 2.
"""
import base64, hashlib, json, os, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# ==== token.md: the notation at its start, Token (text form), Signatures (public keys as text) ====
def H(data):
    return hashlib.sha256(data).digest()
def be(size, number):
    return number.to_bytes(size, "big")
def L(label):
    label = b"chartvault/v1/" + label.encode()
    return bytes([len(label)]) + label
def D(label):
    return L("cap/" + label)
def to_text(prefix, data):
    return prefix + "_" + base64.urlsafe_b64encode(data).decode().rstrip("=")
def from_text(prefix, text):
    start, _, coded = text.partition("_")
    data = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    if start != prefix or to_text(prefix, data) != text:
        raise ValueError(f"not {prefix}_ and canonical base64url")
    return data
class Key:
    """An Ed25519 key by its seed."""
    def __init__(self, seed):
        self.seed, self.secret = seed, Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = H(D("kid") + self.public)[:16]
    def sign(self, message):
        return self.secret.sign(message)
def key(seed=None):
    return Key(bytes.fromhex(seed) if seed else os.urandom(32))

# ==== token.md: Items ====
ACTIONS = "read list create amend void export erase audit review grant operate".split()
PURPOSES = "TREAT ETREAT BTG HPAYMT HOPERAT HRESCH PUBHLTH PATRQT FAMRQT COVERAGE HLEGAL HSYSADMIN".split()
LEVELS = "ULMNRV"
def bits(names, words):
    return be(4, sum(1 << names.index(word) for word in set(words)))
def listed(most, entries, compared=None):
    """A count and entries, in ascending order, none of them (or of what is compared of them) twice."""
    entries = sorted(entries)
    if not 1 <= len(entries) <= most or len({entry[:compared] for entry in entries}) < len(entries):
        raise ValueError(f"a list of 1 to {most}, none twice")
    return be(1, len(entries)) + b"".join(entries)
def some(most, of, value):
    return b"\0" if value == "all" else b"\1" + listed(most, map(of, value))
def kind_id(name):
    return H(D("kind") + name.encode())[:16]
def named(label):
    return lambda name: H(L(label) + name.encode())[:16]
def attestation(entry):
    attester, claim, age = entry
    return H(D("kid") + from_text("cvak1", attester))[:16] + be(2, claim) + be(4, age)
ITEMS = {  # name: tag, and what makes its value
    "subject": (0x01, named("principal")),
    "roles": (0x02, lambda v: listed(8, [named("role")(name) + be(4, revision) for name, revision in v], 16)),
    "not_before": (0x10, lambda v: be(8, v)),
    "not_after": (0x11, lambda v: be(8, v)),
    "actions": (0x12, lambda v: bits(ACTIONS, v)),
    "kinds": (0x13, lambda v: some(32, kind_id, v)),
    "patients": (0x14, lambda v: some(32, bytes.fromhex, v)),
    "purposes": (0x15, lambda v: bits(PURPOSES, v)),
    "sensitivity": (0x16, lambda v: be(1, LEVELS.index(v))),
    "max_uses": (0x17, lambda v: be(4, v)),
    "max_depth": (0x18, lambda v: be(1, v)),
    "sign_in": (0x19, lambda v: be(1, v[0]) + be(4, v[1])),
    "device": (0x1A, lambda v: H(from_text("cvdk1", v))),
    "session": (0x1B, lambda v: be(4, v[0]) + be(4, v[1])),
    "attestations": (0x1C, lambda v: listed(4, map(attestation, v), 18)),
    "facility": (0x1D, lambda v: listed(16, map(named("facility"), v))),
    "emergency": (0x1E, lambda v: bits(ACTIONS, v[0]) + be(1, LEVELS.index(v[1])) + be(4, v[2])),
}

# ==== token.md: Token (blocks, bodies) ====
def body(kind, block):
    items = sorted((ITEMS[name][0], ITEMS[name][1](value)) for name, value in block.get("items", {}).items())
    nonce = bytes.fromhex(block["nonce"]) if "nonce" in block else os.urandom(16)
    head = nonce + be(8, block["issued_at"])
    if "forged" in block:
        return forged_body(kind, head, items, **block["forged"])
    return be(1, kind) + head + joined(items)
def joined(items, count=None):
    joint = b"".join(be(1, tag) + be(2, len(value)) + value for tag, value in items)
    return be(1, len(items) if count is None else count) + joint
def forged_body(kind, head, items, /, values=None, tags=None, n_items=None, more="", fill=None, **other):
    """Values of items replaced (null: left out) or added by their tags, the tags in that order, counted otherwise.

    `more` follows the items, `kind` is another kind, `fill` cuts the body to so many bytes or fills it with zeros. Of
    the block: `length` is what it says of its body's, `next_pub` another key, `signer` the seed of who signs it,
    `times` how often the order of the group is added to the S of its signature.
    """
    changed = dict(items) | {int(tag, 16): v if v is None else bytes.fromhex(v) for tag, v in (values or {}).items()}
    order = [int(tag, 16) for tag in tags] if tags else sorted(changed)
    items = [(tag, changed[tag]) for tag in order if changed[tag] is not None]
    whole = be(1, other.get("kind", kind)) + head + joined(items, n_items) + bytes.fromhex(more)
    return whole if fill is None else whole[:fill].ljust(fill, b"\0")

# ==== token.md: Token, Signatures ====
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, section 5.1
PROOFS = {"open": 1, "sealed": 2, "bound": 3}
class Token:
    def __init__(self, vault, kid):
        self.vault, self.kid, self.blocks = vault, kid, []
        self.prev, self.rid, self.last, self.subject = H(D("root") + kid), None, None, None
    @classmethod
    def read(cls, text):
        """A token as it came, and the bytes of its proof; what does not matter to its next holder is not checked."""
        data = from_text("cvt1", text)
        token, at = cls(data[4:20], data[20:36]), 37
        for _ in range(data[36]):
            size = int.from_bytes(data[at : at + 2], "big")
            end = at + 2 + size + 96
            token.add(data[at + 2 : end - 96], data[end - 96 : end - 64], data[end - 64 : end])
            at = end
        return token, data[at], data[at + 1 :]
    def message(self, body, next_pub, length=None):
        size = be(2, len(body) if length is None else length)
        return D("block") + be(1, len(self.blocks)) + self.vault + self.prev + size + body + next_pub
    def add(self, body, next_pub, sig, length=None):
        message = self.message(body, next_pub, length)
        self.blocks.append(be(2, len(body) if length is None else length) + body + next_pub + sig)
        self.prev, self.rid, self.last = H(D("link") + message + sig), H(D("rid") + message)[:16], next_pub
        self.subject = self.subject or body[29:45]  # the grant's first item has the lowest tag, that of the subject
    def sign(self, block, signer):
        """Adds a block; yields the key of the next, or none if somebody else has it."""
        forged = block.get("forged", {})
        following = None if "holder" in block else key(block.get("seed"))
        next_pub = following.public if following else from_text("cvhk1", block["holder"])
        next_pub = bytes.fromhex(forged["next_pub"]) if "next_pub" in forged else next_pub
        content, length = body(min(len(self.blocks), 1), block), forged.get("length")
        sig = key(forged.get("signer", signer.seed.hex())).sign(self.message(content, next_pub, length))
        s = int.from_bytes(sig[32:], "little") + GROUP_ORDER * forged.get("times", 0)
        self.add(content, next_pub, sig[:32] + s.to_bytes(32, "little"), length)
        return following
    def unproven(self, magic="CVT1", kid=None, n=None):
        count = be(1, len(self.blocks) if n is None else n)
        return magic.encode() + self.vault + (bytes.fromhex(kid) if kid else self.kid) + count + b"".join(self.blocks)
    def proven(self, form, holder, forged):
        """The token's text, with a proof by whoever has the key of its last block."""
        if forged:
            return self.forged_token(form, holder, **forged)
        if form != "bound" and (holder is None or holder.public != self.last):
            raise ValueError(f"{form}: the key of the last block is not known")
        unproven = self.unproven()
        return to_text("cvt1", unproven + be(1, PROOFS[form]) + self.proof(form, holder, unproven))
    @staticmethod
    def proof(form, holder, unproven):
        if form == "bound":
            return b""
        return holder.seed if form == "open" else holder.sign(D("seal") + H(unproven))
    def forged_token(self, form, holder, /, proof_kind=None, prover=None, more="", **front):
        """Another magic, kid, number of blocks or kind of proof; a proof with another's seed; more bytes behind it."""
        unproven, holder = self.unproven(**front), key(prover) if prover else holder
        kind = PROOFS[form] if proof_kind is None else proof_kind
        return to_text("cvt1", unproven + be(1, kind) + self.proof(form, holder, unproven) + bytes.fromhex(more))
def extended(token, holder, order):
    for block in order["blocks"]:
        holder = token.sign(block, holder)
    return token.proven(order.get("proof", "open"), holder, order.get("forged"))
def issue(order):
    issuer = key(order["issuer"])
    return extended(Token(bytes.fromhex(order["vault"]), issuer.kid), issuer, order)
def narrow(order):
    token, kind, proof = Token.read(order["token"])
    if "key" not in order and kind != PROOFS["open"]:
        raise ValueError("nobody but the key's holder narrows a sealed or a bound token")
    return extended(token, key(order["key"]) if "key" in order else Key(proof), order)

# ==== token.md: Proofs at session opening ====
def proof(order):
    whole, challenge = from_text("cvt1", order["token"]), from_text("cvch1", order["challenge"])
    transcript = bytes.fromhex(order["transcript"]) if "transcript" in order else bytes(32)
    signer, purpose = key(order["key"]), bits(PURPOSES, [order["purpose"]])
    sig = signer.sign(D("pop") + whole[4:20] + challenge + H(whole) + purpose + transcript)
    if order["do"] == "possession":
        return to_text("cvpp1", b"CVPP" + challenge + sig)
    return to_text("cvdp1", b"CVDP" + challenge + signer.public + sig)

# ==== token.md: Attestations ====
def attest(order):
    token, attester = Token.read(order["token"])[0], key(order["attester"])
    nonce = bytes.fromhex(order["nonce"]) if "nonce" in order else os.urandom(16)
    nonce = from_text("cvch1", order["challenge"])[:16] if "challenge" in order else nonce
    said = b"CVAT" + attester.kid + token.rid + token.subject + be(2, order["claim"])
    said += be(8, order["issued_at"]) + be(8, order["not_after"]) + nonce
    return to_text("cvat1", said + attester.sign(D("attest") + token.vault + said))

def made(order):
    made = key(order.get("seed"))
    prefix = {"issuer": "cvpk1", "holder": "cvhk1", "device": "cvdk1", "attester": "cvak1"}[order["of"]]
    return f"{made.seed.hex()} {to_text(prefix, made.public)}"
ORDERS = {"key": made, "issue": issue, "narrow": narrow, "possession": proof, "device": proof, "attest": attest}
def main():
    number = 0
    try:
        orders, lines = json.load(sys.stdin), []
        for number, order in enumerate(orders if isinstance(orders, list) else [orders]):
            if isinstance(order.get("token"), int):
                order["token"] = lines[order["token"]]
            lines.append(ORDERS[order["do"]](order))
            print(lines[-1])
        return 0
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as why:
        print(f"issue_token: order {number} cannot be carried out: {type(why).__name__}: {why}", file=sys.stderr)
        return 2
if __name__ == "__main__":
    sys.exit(main())
