#!/usr/bin/env python3
"""Reads a chartvault vault from outside: passphrase in, charts and log out, without the library and without sled.

Written from docs/format.md and the pages in docs/format/; each part names the page and the sections that it follows. It
changes nothing, and leaves no entry in the log: whoever holds a passphrase and the files can read them. Read a copy, or
a vault that nobody has open. Without a file the passphrase is taken from the environment, CHARTVAULT_PASSPHRASE; a line
end behind it does not count. Needs Python 3.10 and the package `cryptography`, 44 or later.

Exit codes; whatever is wrong, there is one line on standard error:
"""
import argparse, hashlib, hmac, json, mmap, os, re, struct, sys, unicodedata
from datetime import datetime, timedelta
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CODES = (
    "everything was read, and was sound", "a fault of this reader", "wrong arguments, or no passphrase",
    "no vault here, or a file cannot be read", "header damaged: neither copy can be used",
    "written by a newer version of the format", "wrong credential: no slot opens", "header tampered with",
    "header rolled back: the journal knows a newer one", "journal damaged",
    "journal forged: a frame was made without the vault's key", "a row or a record does not open, or has no known form",
    "log broken: chain, order or content of an entry",
)
OK, FAULT, USAGE, NO_VAULT, CORRUPT, NEWER, WRONG, TAMPERED, ROLLED_BACK, DAMAGED, FORGED, ROW, LOG = range(13)
class Refused(Exception):
    """Something is wrong: which exit code, and where."""
def must(true, code, where=""):
    if not true:
        raise Refused(code, where)
def content(*path):
    """A file's bytes; none where there is no such file."""
    try:
        with open(os.path.join(*path), "rb") as file:
            return file.read(1 << 26)
    except FileNotFoundError:
        return b""
class Cursor:
    """Takes fields off the front of bytes. What is missing or left over is refused with the code fitting the place."""
    def __init__(self, data, code, where=""):
        self.data, self.at, self.code, self.where = data, 0, code, where
    def must(self, true):
        must(true, self.code, self.where)
    def take(self, n):
        self.must(n <= len(self.data) - self.at)
        self.at += n
        return self.data[self.at - n : self.at]
    def read(self, fields):
        """Fields in the notation of Python's `struct`, big-endian: B u8, H u16, I u32, Q u64, q i64, 16s 16 bytes."""
        return struct.unpack(">" + fields, self.take(struct.calcsize(">" + fields)))
    def one(self, field):
        return self.read(field)[0]
    def sized(self, field):  # bytes behind their length
        return bytes(self.take(self.one(field)))
    def rest(self):
        return self.take(len(self.data) - self.at)
    def end(self):
        self.must(self.at == len(self.data))

# ==== envelope.md: Notation, Padding, Seal ====
def H(data):
    return hashlib.sha256(data).digest()
def HMAC(key, data):
    return hmac.digest(key, data, "sha256")
def be(size, number):
    return number.to_bytes(size, "big")
def text(data):
    return data.decode("utf-8", "replace")
def L(label):
    label = b"chartvault/v1/" + label.encode()
    return bytes([len(label)]) + label
same, extract = hmac.compare_digest, HMAC  # HKDF-Extract(salt, ikm) is HMAC(salt, ikm)
def expand(prk, info, size):
    """HKDF-Expand."""
    out = block = b""
    while len(out) < size:
        block = HMAC(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:size]
def padme(n):
    e = n.bit_length() - 1
    step = 1 << (e - e.bit_length())
    return -(-n // step) * step
def aead_open(suite, key, ciphertext, floor):
    """What was padded and encrypted, or None, whatever was wrong."""
    try:
        padded = {1: ChaCha20Poly1305, 2: AESGCM}[suite](key).decrypt(bytes(12), ciphertext, None)
    except (InvalidTag, KeyError):
        return None
    size = int.from_bytes(padded[:4], "big")
    exact = len(padded) == max(floor, padme(4 + size)) and not any(padded[4 + size :])
    return padded[4 : 4 + size] if exact else None
def open_sealed(prk, label, suite, aad, sealed, floor):
    salt, commitment, ciphertext = sealed[:32], sealed[32:64], sealed[64:]
    keys = expand(prk, L(label) + H(be(8, len(aad)) + aad + salt), 64)
    return aead_open(suite, keys[:32], ciphertext, floor) if same(keys[32:], commitment) else None

# ==== header.md: Layout, Slots, Copies ====
class Header:
    """One copy of the header, as far as it can be judged without a key."""
    def __init__(self, file):
        magic, form, size = Cursor(file, CORRUPT).read("8sHI")
        must(14 + 32 <= size <= len(file) <= 65_536 and not any(file[size:]), CORRUPT)
        self.bytes = file[:size]
        must(H(self.bytes[:-32]) == self.bytes[-32:] and magic == b"CVHDR1\0\0" and form > 0, CORRUPT)
        must(form == 1, NEWER, "header")
        c = Cursor(self.bytes[14:-64], CORRUPT)
        self.vault, self.generation, suites = *c.read("16sQ"), c.sized("B")
        c.must(self.generation > 0 and suites and set(suites) <= {1, 2} and len(set(suites)) == len(suites))
        self.slots = {number: slot for number, *slot in (self.slot(c) for _ in range(c.one("B")))}
        c.must(1 <= len(self.slots) <= 32 and sum(cost for cost, *_ in self.slots.values()) <= 16_777_216)
        self.keyring = c.sized("H")
        c.end()
    def slot(self, c):
        """Number; cost; how its key is derived if it is for a passphrase; additional data; sealed part."""
        start = c.at
        (number, kind, _created), label, parameters = c.read("BBq"), c.sized("B"), c.sized("H")
        aad, sealed = self.vault + c.data[start : c.at], c.sized("H")
        c.must(kind > 0 and len(label) <= 64 and (kind not in (3, 4, 5) or not parameters))
        c.must(kind > 8 or len(sealed) == 145)
        if kind == 2:
            c.must(len(parameters) == 36 and 600_000 <= int.from_bytes(parameters[:4], "big") <= 10_000_000)
            iterations, salt = struct.unpack(">I32s", parameters)
            derive = lambda passphrase: hashlib.pbkdf2_hmac("sha256", passphrase, salt, iterations, 32)
            return number, iterations // 4, derive, aad, sealed
        if kind != 1:
            return number, 0, None, aad, sealed
        c.must(len(parameters) == 44)
        m, t, lanes, salt = struct.unpack(">3I32s", parameters)
        c.must(19_456 <= m <= 1_048_576 and (2 if m < 47_104 else 1) <= t <= 16 and 1 <= lanes <= 16)
        c.must(m * t <= 4_194_304)
        cost = {"salt": salt, "length": 32, "iterations": t, "lanes": lanes, "memory_cost": m}
        return number, m * t, lambda passphrase: Argon2id(**cost).derive(passphrase), aad, sealed
def read_headers(path):
    """The copies that can be used, the one with the higher generation first."""
    copies, refused = [], Refused(NO_VAULT, "no header")
    for file in filter(None, (content(path, "header.a"), content(path, "header.b"))):
        try:
            copies.append(Header(file))
        except Refused as why:
            refused = max(refused, why, key=lambda why: why.args[0])
    if not copies:
        raise refused
    must(copies[0].vault == copies[-1].vault, TAMPERED, "copies of two vaults")
    return sorted(copies, key=lambda copy: -copy.generation)

# ==== envelope.md: Derivations; header.md: Slots, Keyring ====
class Keys:
    """The keyring, opened with a passphrase in Unicode NFC; other credentials differ in the KEK alone."""
    def __init__(self, header, passphrase):
        root, vault = None, header.vault
        for _, derive, aad, sealed in (slot for slot in header.slots.values() if slot[1]):
            root = root or open_sealed(derive(passphrase), "slot", sealed[0], aad + sealed[:1], sealed[1:], 64)
        must(root is not None, WRONG)
        must(same(HMAC(expand(root, L("header-mac"), 32), header.bytes[:-64]), header.bytes[-64:-32]), TAMPERED)
        aad = vault + be(8, header.generation) + be(2, 1) + header.keyring[:1]
        prk = expand(root, L("keyring-master"), 32)
        plain = open_sealed(prk, "keyring", header.keyring[0], aad, header.keyring[1:], 64)
        must(plain is not None and plain[:1] in (b"\1", b"\2", b"\3"), TAMPERED, "keyring")
        c = Cursor(plain[1:], TAMPERED, "keyring")
        self.data, self.wrap, self.audit = (dict(c.read("I32s") for _ in range(c.one("H"))) for _ in range(3))
        must((len(self.audit) > 1) == (plain[:1] == b"\2") or plain[:1] == b"\3", TAMPERED, "keyring")
        self.index, self.lookup, self.state, self.journal, self.policy = c.read("32s" * 5)
        held = [c.read("16s32s") for _ in range(c.one("H") if plain[:1] == b"\3" else 0)]
        self.compartments = dict(held)
        c.must(bool(held) == (plain[:1] == b"\3") and len(held) < 65)
        c.must([*self.compartments] == sorted(self.compartments))
        c.end()
def unlock(path, passphrase):
    """Header and keys. A copy whose MAC is wrong does not stand in the way of a genuine one."""
    first, *other = read_headers(path)
    try:
        return first, Keys(first, passphrase)
    except Refused as why:
        if why.args[0] == TAMPERED and other:
            return other[0], Keys(other[0], passphrase)
        raise

# ==== journal.md: Segment, Frame, The end of the journal ====
MAX_FRAME, TREES = 16 << 20, (1, 2, 3, 4, 6)
class Segment:
    most = MAX_FRAME  # bytes of a frame
    def __init__(self, directory, number, vault):
        c = self.open(os.path.join(directory, f"{number:010}.cvj"), f"segment {number}")
        magic, form, of_vault, of_number, self.first, self.before, size, zeros, check = c.read("4sH16sQQ32sQ402s32s")
        c.must(H(self.data[:480]) == check and magic == b"CVJ1" and form > 0)
        must(form == 1, NEWER, self.where)
        c.must((of_vault, of_number, size) == (vault, number, len(self.data)) and not any(zeros))
    def open(self, path, where):
        self.where = where
        with open(path, "rb") as file:
            must(os.fstat(file.fileno()).st_size >= 512, DAMAGED, where)
            self.data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return Cursor(self.data[:512], DAMAGED, where)
    def extent(self, start):  # where the bytes that are not zero end, from start on
        return start + len(self.data[start:].tobytes().rstrip(b"\0"))
    def head(self, at):
        """Length of the frame whose head is whole here, or 0."""
        head = bytes(self.data[at : at + 24])
        size, whole = int.from_bytes(head[4:8], "big"), head[:4] == b"CVF1" and H(head[:16])[:8] == head[16:]
        return size if whole and 152 <= size <= self.most and size % 8 == 0 else 0
    def frame(self, at):
        """The bytes of the frame that is whole here by its hash, or None."""
        frame = self.data[at : at + self.head(at)]
        whole = len(frame) >= 152 and frame[-8:] == b"CVF1-END" and H(frame[:-72]) == frame[-72:-40]
        return frame if whole else None
    def is_torn(self, at, number, keys):
        """Whether what stands here may be a frame that was never acknowledged; anything else is damage."""
        end, size, hashed = self.extent(at), self.head(at), 0
        wrong = size and int.from_bytes(self.data[at + 8 : at + 16], "big") != number
        stop = at + size if size else min(max(end, at + 152), len(self.data))
        sectors = ((max(s, at), min(s + 512, stop)) for s in range(at - at % 512, stop, 512))
        wrong = wrong or end > stop or stop > len(self.data) or end - at > MAX_FRAME
        if wrong or all(any(self.data[a:b]) for a, b in sectors):
            return False
        for behind in range(at + 8, end, 8):
            hashed += self.head(behind)  # bounds the work on bytes made to keep a reader busy
            if hashed > 4 * MAX_FRAME or self.head(behind) and is_genuine(self.frame(behind), keys):
                return False
        return True
def is_genuine(frame, keys):
    return frame and same(HMAC(keys.journal, bytes(frame[:24]) + bytes(frame[-72:-40])), bytes(frame[-40:-8]))
def bucket(tree, key):
    """Digest: which of all buckets a row belongs to."""
    a, b = (key + bytes(2))[:2]
    return (a << 4 | b >> 4, 4096 + a, 4352 + a, 4608)[tree - 1]
class Base(Segment):
    """Base: what was live up to a frame, in the place of older segments."""
    most = MAX_FRAME + 4096
    def __init__(self, directory, through, vault, keys):
        c = self.open(os.path.join(directory, f"base-{through:010}.cvj"), f"base {through}")
        magic, form, of_vault, self.through, self.hash, self.segment = c.read("4sH16sQ32sQ")
        _offset, self.generation, self.first, zeros, check = c.read("QQQ386s32s")
        c.must(H(self.data[:480]) == check and magic == b"CVB1" and form > 0)
        must(form <= 2, NEWER, self.where)
        c.must((of_vault, self.through, form == 2) == (vault, through, self.first > 0) and not any(zeros))
        self.rows, self.entries, self.tallies = {tree: {} for tree in TREES}, [], {}
        self.keys, self.sums, self.origin, self.newest = keys, [[0, 0] for _ in range(4609)], (0, -1), bytes(32)
        at, number, before, last, places, posts, index = 512, 0, check, 2, [], [], 0
        while at < len(self.data):
            frame = self.frame(at)
            self.must(frame is not None, at)
            must(is_genuine(frame, keys), FORGED, self.where)
            c = Cursor(frame[:-72], DAMAGED, f"{self.where}, byte {at}")
            _magic, frame_number, _check, prev, generation, kind, count = c.read("8sQ8s32sQBI")
            c.must((frame_number, prev, generation) == (number + 1, before, self.generation) and last <= kind <= 4)
            if kind == 2:
                places.append((*struct.unpack_from(">QI", c.data, c.at + 1), at))
                for _ in range(count):
                    self.item(c)
            if kind == 3:
                posts += [c.read("QIQ") for _ in range(count)]
            index = index or (at if kind > 2 else 0)
            if kind == 4:
                buckets = H(b"".join(be(8, count) + be(32, total) for count, total in self.sums))
                rows = sum(count for count, _ in self.sums) + len(self.rows[6])
                seal = (rows, len(self.entries), len(places), index, len(self.data), check, buckets, self.newest)
                c.must(count == 1 and c.read("5Q32s32s32s") == seal and at + len(frame) == len(self.data))
            c.must(c.one("I") == 0)
            padding = c.rest()
            c.must(len(padding) < 8 and not any(padding))
            at, number, before, last = at + len(frame), number + 1, bytes(frame[-72:-40]), kind
        self.must(last == 4 and posts == places, at)
    def must(self, true, at):
        must(true, DAMAGED, f"{self.where}, byte {at}")
    def item(self, c):
        sort, *origin = c.read("BQI")
        c.must(self.origin < (origin := tuple(origin)) and origin[0] <= self.through)
        self.origin = origin
        if sort in (1, 2):
            tree, key = c.one("B"), c.sized("H")
            c.must(tree in TREES and key not in self.rows[tree] and len(key) <= 256)
            value = self.rows[tree][key] = c.take(c.one("I"))
            if tree < 6:
                leaf = HMAC(self.keys.state, be(1, tree) + be(2, len(key)) + key + be(4, len(value)) + H(value))
                counted = self.sums[bucket(tree, key)]
                counted[:] = counted[0] + 1, (counted[1] + int.from_bytes(leaf, "big")) % (1 << 256)
        elif sort == 3:
            self.entries.append(entry_of(c))
            self.newest = H(self.entries[-1][0])
        else:
            tag, count = c.read("16sQ")
            c.must(sort == 4 and self.first > 0 and origin == (self.through, len(self.tallies)))
            c.must(all(before < tag for before in self.tallies))
            self.tallies[tag] = count
def entry_of(c):
    return c.sized("H"), [bytes(c.take(16)) for _ in range(c.one("H"))]
class Journal:
    """All frames from the first on, or behind a base: the rows that they leave, and the entries of the log."""
    def __init__(self, path, vault, keys):
        self.keys, self.number, self.generation, self.hashes, self.torn = keys, 0, 0, {0: bytes(32)}, 0
        self.rows, self.entries, self.tallies, self.begins = {tree: {} for tree in TREES}, [], {}, 0
        directory, base = os.path.join(path, "journal"), 0
        numbers = lambda start: sorted(  # in names that are spelled as the page says
            int(name[len(start) : -4]) for name in os.listdir(directory)
            if re.fullmatch(start + r"(0\d{9}|[1-9]\d{9,})\.cvj", name)
        )
        if bases := numbers("base-"):
            base = Base(directory, bases[-1], vault, keys)
            self.number, self.generation, self.hashes = base.through, base.generation, {base.through: base.hash}
            self.rows, self.entries, self.tallies, self.begins = base.rows, base.entries, base.tallies, base.first
            base = base.segment
        self.first = self.begins  # of the log; the entries before it that segments still hold are chained as well
        present = [number for number in numbers("") if number > base]
        must(present and present == [*range(base + 1, base + 1 + len(present))], DAMAGED, "segments are missing")
        segments = [Segment(directory, number, vault) for number in present]
        for segment, later in zip(segments, [*segments[1:], None]):
            must((segment.first, segment.before) == (self.number + 1, self.hashes[self.number]), DAMAGED, segment.where)
            if not self.read(segment, later, later is segments[-1]):
                break
        self.check_marks(path, vault)
    def read(self, segment, later, later_is_newest):
        """Reads a segment; says whether it was sealed."""
        at = 512
        while (frame := segment.frame(at)) is not None:
            where = f"{segment.where}, byte {at}"
            must(is_genuine(frame, self.keys), FORGED, where)
            at += len(frame)
            if self.apply(frame, where):
                must(later, DAMAGED, "a sealed segment has no successor")
                return True
        self.torn = segment.extent(at) - at
        unused = later and later_is_newest and later.extent(512) == 512 and later.first == self.number + 2
        ends = (not later or unused) and (not self.torn or segment.is_torn(at, self.number + 1, self.keys))
        must(ends, DAMAGED, f"{segment.where}, byte {at}")
    def apply(self, frame, where):
        """Takes in a frame; says whether it is a seal."""
        c = Cursor(frame[:-72], DAMAGED, where)
        _magic, number, _check, before, generation, kind, writes = c.read("8sQ8s32sQBI")
        c.must((number, before) == (self.number + 1, self.hashes[self.number]))
        c.must(generation >= self.generation and kind in (0, 1))
        for left in range(writes, 0, -1):
            self.cut(c) if left == 1 and bytes(c.data[c.at : c.at + 2]) == b"\5\3" else self.write(c)
        for _ in range(entries := c.one("I")):
            self.entries.append(entry_of(c))
        c.must(self.first < self.begins + len(self.entries) or not self.first)
        padding = c.rest()
        c.must(len(padding) < 8 and not any(padding) and (kind == 0 or writes == entries == 0))
        self.number, self.generation = number, generation
        self.hashes[number] = bytes(frame[-72:-40])
        return kind == 1
    def cut(self, c):
        form, first, value = c.read("5sQI")
        c.must((form, value) == (b"\5\3\0\0\10", 0) and self.first <= first <= self.begins + len(self.entries))
        self.first = first
    def write(self, c):
        """Frame, Digest. Nobody needs the leaf of what is replaced in order to read, but it has to be true."""
        tree, operation, replaces = c.read("BBB")
        c.must(tree in self.rows and operation in (0, 1, 2) and replaces in (0, 1))
        rows, leaf, key, value = self.rows[tree], c.take(32 * replaces), c.sized("H"), c.take(c.one("I"))
        old = rows.pop(key, None)
        c.must(len(key) <= 256 and (operation or not value) and (tree == 6 or (old is not None) == bool(replaces)))
        if old is not None and tree != 6:  # of what no digest covers, nothing is said
            row = be(1, tree) + be(2, len(key)) + key + be(4, len(old)) + H(old)
            c.must(same(HMAC(self.keys.state, row), bytes(leaf)))
        if operation:
            rows[key] = value
    def check_marks(self, path, vault):
        """State file, Clean mark. Nothing in them is needed, but they may remember frames that were cut off since."""
        key = expand(self.keys.state, L("state-file"), 32)
        for name, start in (("clean", 24), ("state.a", 42), ("state.b", 42)):
            mark, clean = content(path, name), name == "clean"
            of_vault, hashed = (mark[8:24], mark[:-32]) if clean else (mark[18:34], mark[:8] + H(mark[:-64]))
            if len(mark) >= 96 and of_vault == vault and same(HMAC(key, hashed), mark[-32:]):
                number, known = struct.unpack_from(">Q32s", mark, start)
                there = self.hashes.get(number) == known or number < min(self.hashes)
                must(there, DAMAGED, f"frames up to {number} are not all there")

# ==== policy.md: Policy rows ====
# The reader of a table takes what stands behind the table's number, and yields the row's id and what is shown of it.
ACTIONS = "read list create amend void export erase audit review grant operate".split()
PURPOSES = "TREAT ETREAT BTG HPAYMT HOPERAT HRESCH PUBHLTH PATRQT FAMRQT COVERAGE HLEGAL HSYSADMIN".split()
LEVELS, NO_ID, CUT, NO_LIMIT = "ULMNRV", bytes(16), b"\xff" * 16, 0xFFFFFFFF
def said(c, least, most, of="H", blank=False):
    """A text behind its length: UTF-8, so many bytes, not all blank unless it may be."""
    data = c.sized(of)
    c.must(least <= len(data) <= most and text(data).encode() == data and (blank or text(data).strip() or not data))
    return text(data)
def kind_name(c, data):
    c.must(re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", data))
    return text(data)
def chosen(c, names, bits):
    c.must(bits >> len(names) == 0)
    return [name for bit, name in enumerate(names) if bits >> bit & 1]
def level(c):
    code = c.one("B")
    c.must(code < len(LEVELS))
    return LEVELS[code]
def only(c, *bits):
    """Flags: whether each of these bits is set; no other is."""
    flags = c.one("B")
    c.must(flags & ~sum(bits) == 0)
    return [flags & bit != 0 for bit in bits]
def trusted(c):
    public, since = c.read("32sq")
    return H(L("cap/kid") + public)[:16], (since,)
def kind(c):
    name = bytes(c.rest())
    return H(L("cap/kind") + name)[:16], kind_name(c, name)
def read_audit(c):
    windowed, = only(c, 1)
    delay, entries = c.read("QI") if windowed else (10**6, 1)
    c.must(10**6 <= delay <= 6 * 10**10 and 1 <= entries <= 10_000)
    return NO_ID, (delay, entries) if windowed else ()
def slot_use(c):
    slot, created, used = c.read("Bqq")
    return be(1, slot) + bytes(15), (created, used)
def data_key(c):
    row = c.read("IQ" if len(c.data) == 13 else "IQ36s")
    c.must(len(row) < 3 or row[2][24:32] != b"\xff" * 8 and row[2][32:] != b"\xff" * 4)
    return NO_ID, row
def role(c):
    (retired, every), (revision, defined, by, actions, purposes) = only(c, 1, 2), c.read("Iq16sII")
    ceiling, categories, name, description = level(c), c.one("I"), said(c, 1, 64), said(c, 0, 256, blank=True)
    kinds = "all" if every else [kind_name(c, c.sized("H")) for _ in range(c.one("B"))]
    c.must(every or 1 <= len(kinds) <= 32 and kinds == sorted(set(kinds)))
    c.must(revision and actions and purposes and categories >> 24 == 0)
    return H(L("role") + name.encode())[:16], {
        "name": name, "revision": revision, "retired": retired, "defined_at": defined, "defined_by": by,
        "actions": chosen(c, ACTIONS, actions), "purposes": chosen(c, PURPOSES, purposes), "sensitivity": ceiling,
        "categories": categories, "description": description, "kinds": kinds,
    }
def role_before(c):
    ident, shown = role(c)
    return H(L("role-revision") + ident + be(4, shown["revision"]))[:16], shown
def principal(c):
    """Who may sign in. Of what it is checked with, only that it is there."""
    shown, signed, off, password, totp, pending = only(c, 1, 2, 4, 8, 16, 32)
    name, display = said(c, 1, 128), said(c, 1, 128) if shown else None
    enrolled, last = c.one("q"), c.one("q") if signed else None
    disabled = (c.one("q"), said(c, 1, 256)) if off else None
    argon = c.read("BIII32s32s")[:4] if password else None
    c.must(not argon or argon[0] == 1)
    step, begun = c.read("20sQ")[1] if totp else None, c.read("20sq")[1] if pending else None
    codes = c.one("B")
    c.must(name and (display or not shown) and (not off or disabled[1]) and codes <= 10)
    c.take(32 * codes)
    return H(L("principal") + name.encode())[:16], {
        "name": name, "display_name": display, "enrolled": enrolled, "last_sign_in": last, "disabled": disabled,
        "argon2id": argon and argon[1:], "step": step, "pending_since": begun, "recovery_codes": codes,
    }
def failures(c):
    who, count, last = c.read("16sIq")
    c.must(count)
    return who, (count, last)
def uses(c):
    return c.read("16sI")
def access_rules(c):
    registered, enrolled = only(c, 1, 2)
    validity, sessions, *times = c.read("IHIII")
    c.must(validity and all(times))
    idle, longest, review = (None if time == NO_LIMIT else time for time in times)
    return NO_ID, {
        "registered_only": registered, "enrolled_only": enrolled, "validity": validity, "sessions": sessions or None,
        "idle": idle, "longest": longest, "review": review,
    }
def pruned(c, said):
    """What a prune entry says: from which entry on, and before which, they were removed."""
    first, end = struct.unpack_from(">QQ", said)
    c.must(first < end and first % 256 == end % 256 == 0)
    return first, end
def log_retention(c):
    """How long the log is kept, a hold on it by its id, or where it begins."""
    sort = c.one("B")
    if sort == 2:
        before, said = c.one("Q"), c.take(144)
        first, end = pruned(c, said)
        edge = [c.take(32) for level in range(1, 8) for _ in range((end >> 8 * level) % 256)]
        c.must(before >= end - 1)
        return CUT, {"from": first, "end": end, "before": before, "said": said.hex(), "edge": len(edge)}
    c.must(sort < 2)
    if sort == 0:
        keep, newest = c.read("QQ")
        c.must(keep or not newest)
        return NO_ID, {"keep": keep or None, "newest": newest}
    hold, since, by = c.read("16sq16s")
    c.must(any(hold) and hold != CUT)
    return hold, {"since": since, "by": by.hex(), "reason": said(c, 1, 256, blank=True)}
def retention(c):
    """What keeps a chart, by its tag, and records of it by kind and number."""
    def terms():
        ends, held = only(c, 1, 2)
        until = c.one("q") if ends else None
        return {"until": until, "hold": (*c.read("q16s"), said(c, 1, 256, blank=True)) if held else None}
    tag, kept = c.one("16s"), {"": terms()}
    count, before = c.one("H"), b""
    for _ in range(count):
        place = c.take(24)
        kept[f"{place[:16].hex()}-{int.from_bytes(place[16:], 'big')}"] = found = terms()
        c.must(place > before and place[16:] > bytes(8) and found != {"until": None, "hold": None})
        before = place
    c.must(count <= 1_000 and (count or kept[""] != {"until": None, "hold": None}))
    return tag, kept
def erasure(c):
    """A patient who was erased, by the tag: when, when all was done, by whom, how much the log has, why."""
    tag, (ended, _sealed, asked), begun = c.one("16s"), only(c, 1, 2, 4), c.one("q")
    finished, by = c.one("q") if ended else None, c.one("16s") if asked else None
    return tag, (begun, finished, by, c.one("Q"), *(said(c, 1, 256, blank=True) for _ in range(2)))
REASONS = {1: "patient in danger", 2: "nobody else there", 3: "rights missing", 4: "others in danger", 255: "other"}
VERDICTS = {1: "justified", 2: "not justified", 3: "referred"}
def emergency(c):
    (case, patient), (assigned, closed, told) = c.read("16s16s"), only(c, 1, 2, 4)
    actor, session, token, start, until, reason = c.read("16s16s16sqqB")
    shown = {"patient_tag": patient, "actor": actor, "session": session, "token": token, "from": start, "until": until}
    shown |= {"reason": REASONS.get(reason), "text": said(c, 1, 512)}
    shown |= {"assigned": c.read("16sq") if assigned else None, "review": None}
    if closed:
        by, at, verdict = c.read("16sqB")
        shown["review"] = (by, at, VERDICTS.get(verdict), said(c, 1, 512))
        c.must(verdict in VERDICTS)
    shown["overdue"] = c.one("q") if told else None
    c.must(reason in REASONS)
    return case, shown
RULES = range(1, 12)
FLAG_VERDICTS = {1: "explained", 2: "misuse", 3: "unclear", 4: "rule wrong"}
def flag(c, patient=None):
    """Something that a rule of monitoring found."""
    ident, (about, assigned, closed, told), rule = c.one("16s"), only(c, 1, 2, 4, 8), c.one("B")
    at, raised, n = c.read("qqB")
    entries = c.read("Q" * n)
    c.must(rule in RULES and n <= 32 and list(entries) == sorted(set(entries)))
    shown = {"patient_tag": patient, "rule": rule, "at": at, "raised": raised, "entries": list(entries)}
    why, against = c.sized("H"), c.sized("H")
    c.must(1 <= len(why) <= 256 and len(against) <= 512)
    shown |= {"why": text(why), "against": text(against)}
    shown |= {"actor": c.one("16s") if about else None, "assigned": c.read("16sq") if assigned else None, "closed": None}
    if closed:
        by, when, verdict = c.read("16sqB")
        c.must(verdict in FLAG_VERDICTS)
        shown["closed"] = (by, when, FLAG_VERDICTS[verdict], said(c, 1, 512))
    shown["overdue"] = c.one("q") if told else None
    return ident, shown
def monitoring(c):
    """The rules of monitoring."""
    start, on, *limits = c.read("QHHIBHHIIIHII")
    patients, seconds, times, least, denials, during, records, within, refused, tried, close = limits
    c.must(on & ~sum(1 << rule for rule in RULES) == 0 and 2 <= times <= 100 and records and close)
    c.must(all(60 <= length <= 604_800 for length in (seconds, during, within, tried)))
    c.must(all(2 <= number <= 1_000 for number in (patients, least, denials, refused)))
    shown = {"from": start, "on": [rule for rule in RULES if on & 1 << rule], "limits": limits, "hours": None}
    if c.at < len(c.data):
        zone, days = c.sized("B"), [c.read("HH") for _ in range(7)]
        c.must(len(zone) <= 64 and all(max(day) <= 1_440 for day in days))
        shown["hours"] = (text(zone), *days)
    return NO_ID, shown
def monitor_state(c):
    form, following, _, n = c.read("BQiI")
    c.must(form == 1 and n <= 2_048)
    actors, items = {}, 0
    for _ in range(n):
        actor, last, day, today, days, mean = c.read("16sqiIHI")
        seen = [c.read("8sqQ") for _ in range(c.one("I"))]
        bursts = [[c.read("qQI") for _ in range(c.one("I"))] for _ in range(3)]
        items += len(seen) + sum(map(len, bursts))
        c.must(items <= 16_384 and (not actors or max(actors) < actor))
        actors[actor] = (last, day, today, days, mean, len(seen), *map(len, bursts))
    flags = [c.read("16sqB") for _ in range(c.one("I"))]
    idents = [ident for ident, _, _ in flags]
    c.must(len(flags) <= 8_192 and idents == sorted(set(idents)) and all(held <= 1 for _, _, held in flags))
    return NO_ID, {"next": following, "actors": len(actors), "flags": len(flags)}
def suppressor(c, patient=None):
    """What keeps flags from being raised."""
    number, (ruled, of, grouped) = c.one("I"), only(c, 1, 2, 4)
    until, by, made = c.read("q16sq")
    shown = {"patient_tag": patient, "until": until, "by": by, "made": made, "reason": said(c, 1, 256)}
    shown |= {"rule": c.one("B") if ruled else None, "actor": c.one("16s") if of else None}
    shown["group"] = said(c, 1, 64) if grouped else None
    c.must(number and (not ruled or shown["rule"] in RULES))
    return be(4, number) + bytes(12), shown
def of_patient(read):
    return lambda c: read(c, c.one("16s"))
def chart_label(c):
    tag, ceiling, (staff, many), categories = c.one("16s"), level(c), only(c, 1, 2), c.one("I")
    c.must(ceiling != "U" or staff or many or categories)
    return tag, (ceiling, staff + 2 * many, categories)
def compartment(c):
    """Kinds that are sealed under a key of their own as well."""
    created, name = c.one("q"), c.sized("B")
    kinds = [kind_name(c, c.sized("B")) for _ in range(c.one("B"))]
    c.must(1 <= len(name) <= 64 and 1 <= len(kinds) <= 32 and kinds == sorted(set(kinds)))
    return H(L("compartment-id") + name)[:16], (text(name), created, *kinds)
def sink(c):
    """How far a sink of the log has come, and what happens when it takes none."""
    following, since, policy = c.read("QqB")
    required = c.read("QQ") if policy == 2 else None
    name = c.rest()
    c.must(policy <= 2 and 1 <= len(name) <= 64)
    return H(L("sink-id") + name)[:16], (text(name), following, since, policy, required)
def backup_note(c):
    """What is remembered of the backups at a target."""
    sort, at = c.read("Bq")
    c.must(1 <= sort <= 5)
    if sort == 1:
        shown = c.read("QQQQI")
        packed = c.one("B")
        c.must(packed <= 1)
        shown += (c.read("QQQ") if packed else None,)
    elif sort == 2:
        shown = (text(c.sized("B")),)
        c.must(1 <= len(shown[0].encode()) <= 64)
    else:
        shown = c.read("BQ" if sort == 3 else "QQQQ")
        c.must(sort > 3 or shown[0] in (1, 3))
    name = c.rest()
    c.must(len(name) <= 1_024)
    what = ("last-backup", "last-failure", "last-verification", "last-drill", "last-failed-drill")[sort - 1]
    return H(L("backup-note") + be(1, sort) + name)[:16], (text(name), what, at, *shown)
def blocks_kept(c):
    """What is kept of a token's blocks: issuer, revocation ids and bodies, of which only the frame is read here."""
    issuer, count, rids = c.one("16s"), c.one("B"), []
    for number in range(count):
        rids.append(c.one("16s"))
        body = c.sized("H")
        c.must(26 <= len(body) <= 1_024 and body[0] == (number > 0) and body[25] <= 24)
    c.must(1 <= count <= 8)
    return rids[-1], {"issuer": issuer, "revocation_ids": rids}
def grant(c):
    registered, = only(c, 1)
    since, by, note = c.one("q"), c.one("16s") if registered else None, said(c, 0, 256, blank=True)
    ident, shown = blocks_kept(c)
    return ident, {"since": since, "registered_by": by, "note": note} | shown
def grant_use(c):
    ident, sessions, last = c.read("16sIq")
    c.must(sessions)
    return ident, (sessions, last)
SORTS = {1: "block", 2: "principal", 3: "role", 4: "issuer", 5: "attester"}
def revocation(c):
    (sort, ident), (asked, replaced), at = c.read("B16s"), only(c, 1, 2), c.one("q")
    by, to = c.one("16s") if asked else None, c.one("16s") if replaced else None
    c.must(sort in SORTS)
    shown = {"sort": SORTS.get(sort), "id": ident, "at": at, "by": by, "replaced_by": to, "reason": said(c, 1, 256)}
    c.must(shown["reason"])
    return H(L("revocation") + be(1, sort) + ident)[:16], shown
def review(c):
    number, (told, closed) = c.one("I"), only(c, 1, 2)
    opened, by, due = c.read("q16sq")
    shown = {"opened": opened, "opened_by": by, "due": due, "told": c.one("q") if told else None}
    shown |= {"closed": c.read("q16s") if closed else None, "note": said(c, 0, 512, blank=True)}
    shown["grants"] = grants = [c.read("16s16sB") for _ in range(c.one("I"))]
    ids = [ident for ident, _, _ in grants]
    c.must(number and len(grants) <= 50_000 and ids == sorted(set(ids)))
    c.must(all(ended == 0 or closed and ended <= 2 for _, _, ended in grants))
    return be(4, number) + bytes(12), shown
DECISIONS = {1: "keep", 2: "narrow", 3: "revoke"}
def decision(c):
    number, decided = c.read("IB")
    to, at, by, note = c.one("16s") if decided == 2 else None, c.one("q"), c.one("16s"), said(c, 0, 512, blank=True)
    ident, shown = blocks_kept(c)
    c.must(number and decided in DECISIONS)
    shown = {"decision": DECISIONS[decided], "replaced_by": to, "at": at, "reviewer": by, "note": note} | shown
    return H(L("review-decision") + be(4, number) + ident)[:16], shown
def epoch(c):
    (closed,), (number, start, first, public) = only(c, 1), c.read("IBQ32s")
    shown = {"epoch": number, "start": start, "first": first, "public": public}
    shown |= {"size": None, "next": None, "checkpoint": None}
    if closed:
        shown |= {"size": c.one("Q"), "next": c.one("32s"), "checkpoint": text(c.sized("H"))}
        c.must(shown["size"] > first and len(shown["checkpoint"]) <= 4_096)
    c.must(number and 1 <= start <= 9)
    return be(4, number) + bytes(12), shown
def ceiling(c):
    issuer, (acts, kinds, purposes, valid), most = c.one("16s"), only(c, 1, 2, 4, 8), level(c)
    shown = {"actions": chosen(c, ACTIONS, c.one("I")) if acts else "all"}
    shown |= {"purposes": chosen(c, PURPOSES, c.one("I")) if purposes else "all", "sensitivity": most}
    shown |= {"validity": c.one("I") if valid else None}
    shown["kinds"] = listed = [kind_name(c, c.sized("H")) for _ in range(c.one("H"))] if kinds else "all"
    c.must(not kinds or len(listed) <= 1_000 and listed == sorted(set(listed)))
    return issuer, shown
TABLES = {
    1: ("issuers", trusted),
    2: ("kinds", kind),
    3: ("clock_resets", lambda c: (NO_ID, c.read("qq"))),
    4: ("attesters", trusted),
    5: ("read_audit", read_audit),
    7: ("slot_uses", slot_use),
    8: ("roles", role),
    9: ("roles_before", role_before),
    10: ("principals", principal),
    11: ("grants", grant),
    12: ("revocations", revocation),
    13: ("uses", uses),
    14: ("reviews", review),
    15: ("review_decisions", decision),
    16: ("data_key", data_key),
    17: ("access_rules", access_rules),
    18: ("failed_sign_ins", failures),
    19: ("ceilings", ceiling),
    20: ("compartments", compartment),
    21: ("grant_uses", grant_use),
    22: ("signing_epochs", epoch),
    23: ("sinks", sink),
    26: ("log_retention", log_retention),
    24: ("flags", flag),
    25: ("monitoring", monitoring),
    27: ("monitor_state", monitor_state),
    28: ("suppressors", suppressor),
    29: ("backup_notes", backup_note),
    32: ("retentions", retention),
    33: ("erasures", erasure),
    34: ("emergencies", emergency),
    35: ("chart_labels", chart_label),
    36: ("flags_of_patients", of_patient(flag)),
    37: ("suppressors_of_patients", of_patient(suppressor)),
}

# ==== envelope.md: Envelope, Storage keys; record.md: Record body ====
RECORDS, PATIENTS, LOOKUP, POLICY = 1, 2, 3, 4
def inverse(data):
    return int.from_bytes(bytes(255 - byte for byte in data), "big")
def record_body(body):
    c = Cursor(body, ROW, "record body")
    kind, version, shape, codec, author, recorded, given, clinical, status, secrecy = c.read("16sH8sB16sqBqBB")
    reason, labels, value = c.sized("H"), [c.sized("B") for _ in range(c.one("B"))], c.rest()
    c.must(codec == 1 and version > 0 or codec == 2 and version == 0 and not any(shape))
    c.must(given == 1 or given == 0 and clinical == 0)
    c.must(status in (1, 2) and secrecy < 6 and len(reason) <= 1_024 and len(value) <= 1 << 20)
    c.must(len(labels) <= 16 and labels == sorted(set(labels)) and b"" not in labels)
    return kind, value, {
        "type_version": version, "shape": shape.hex(), "codec": codec, "author": author.hex(), "recorded_at": recorded,
        "clinical_time": clinical if given else None, "status": ("active", "voided")[status - 1],
        "confidentiality": LEVELS[secrecy], "reason": text(reason), "labels": [*map(text, labels)], "size": len(value),
    }
class Vault:
    def __init__(self, path, passphrase):
        header, self.keys = unlock(path, passphrase)
        self.id = header.vault
        self.journal = Journal(path, self.id, self.keys)
        must(self.journal.generation <= header.generation, ROLLED_BACK)
        self.secrets, self.patients, self.bodies, self.policies = {}, {}, {}, {name: {} for name, _ in TABLES.values()}
        self.kept_apart = {}
        readers = {POLICY: self.policy, PATIENTS: self.patient, LOOKUP: self.pointer, RECORDS: self.record}
        for tree, read in readers.items():
            for key, value in sorted(self.journal.rows[tree].items()):
                read(key, bytes(value))
    def open(self, tree, key, value, prk, label, floor=256):
        form, suite, flags = Cursor(value, ROW).read("BBH")
        must(form <= 1, NEWER, "envelope")
        aad = value[:12] + self.id + be(1, tree) + be(2, len(key)) + key
        body = open_sealed(prk, label, suite, aad, value[12:], floor) if (form, flags) == (1, 0) else None
        must(body is not None, ROW, f"tree {tree}")
        return body
    def policy(self, key, value):
        c = Cursor(self.open(POLICY, key, value, self.keys.policy, "policy"), ROW, "policy row")
        table = c.one("B")
        c.must(table in TABLES)
        name, read = TABLES[table]
        ident, shown = read(c)
        c.end()
        c.must(same(HMAC(self.keys.policy, L("policy-row") + be(1, table) + ident)[:16], key))
        c.must(name != "data_key" or shown[0] in self.keys.data)
        if name == "compartments":
            c.must(ident in self.keys.compartments)
            self.kept_apart |= {H(L("cap/kind") + kind.encode())[:16]: ident for kind in shown[2:]}
        self.policies[name][ident.hex()] = shown
    def left(self, tag):
        """Whether rows of a patient are left who was erased."""
        return tag.hex() in self.policies["erasures"] and tag not in self.patients
    def patient(self, key, value):
        epoch, generation = Cursor(value[4:], ROW).read("II")
        must(len(key) == 20 and generation == inverse(key[16:]) and epoch in self.keys.wrap, ROW, "patient")
        body = self.open(PATIENTS, key, value, self.keys.wrap[epoch], "patient-secret", 64)
        secret, patient = body[:32], body[32:]
        must(len(patient) == 16 and HMAC(self.keys.index, L("patient") + patient)[:16] == key[:16], ROW, "patient")
        self.secrets[key[:16], generation], self.patients[key[:16]] = secret, patient
    def pointer(self, key, value):
        if self.left(key[16:]):
            return
        patient = self.open(LOOKUP, key, value, self.keys.lookup, "lookup")
        must(len(key) == 32 and self.patients.get(key[16:]) == patient, ROW, "lookup pointer")
    def record(self, key, value):
        """Keys sort by patient and kind, the newest record and version first."""
        if self.left(key[:16]):
            return
        epoch, generation = Cursor(value[4:], ROW).read("II")
        tag, kind_tag, number, version = key[:16], key[16:24], inverse(key[24:32]), inverse(key[32:])
        secret, data_key = self.secrets.get((tag, generation)), self.keys.data.get(epoch)
        must(len(key) == 36 and secret is not None and data_key is not None, ROW, "record")
        prk = extract(expand(data_key, L("record-master"), 32), secret)
        for kind, ident in self.kept_apart.items():
            if HMAC(self.keys.index, L("kind") + tag + kind)[:8] == kind_tag:
                master = expand(self.keys.compartments[ident], L("compartment-master"), 32)
                prk = extract(master, expand(prk, L("compartment"), 32))
        body = self.open(RECORDS, key, value, prk, "record")
        must(HMAC(self.keys.index, L("kind") + tag + body[:16])[:8] == kind_tag, ROW, "record")
        self.bodies[self.patients[tag], body[:16], number, version] = body

# ==== audit.md ====
EVENTS = {
    1: "vault-created", 2: "vault-opened", 3: "vault-closed", 4: "unlock-failed", 5: "recovered", 6: "vault-salvaged",
    7: "entry-lost", 10: "issuer-trusted", 11: "kind-registered", 12: "issuer-limited", 13: "attester-trusted",
    14: "issuer-revoked", 15: "slot-added", 16: "slot-removed", 17: "slot-changed", 18: "header-written",
    19: "header-backed-up", 20: "session-opened", 21: "session-closed", 22: "token-refused", 23: "session-expired",
    24: "signed-in", 25: "sign-in-refused", 26: "stepped-up", 27: "glass-broken",
    30: "patient-registered", 31: "patient-found", 32: "identifier-added", 33: "retention-changed", 34: "hold-placed",
    35: "hold-lifted", 36: "retention-read", 37: "erasure-begun", 38: "patient-erased", 39: "chart-labelled",
    40: "record-put", 41: "record-read", 42: "records-listed", 43: "chart-read", 44: "history-read",
    45: "chart-label-read", 46: "record-amended", 47: "record-voided", 48: "kinds-listed", 49: "records-exported",
    50: "principal-enrolled", 51: "principal-changed", 52: "principal-disabled", 53: "principal-enabled",
    54: "principals-listed", 55: "role-defined", 56: "role-retired", 57: "access-rules-changed",
    58: "compartment-created", 59: "roles-listed", 60: "audit-verified", 61: "audit-queried", 62: "denial-explained",
    63: "rights-read", 64: "risks-reported", 70: "clock-reset", 71: "read-audit-changed", 72: "journal-compacted",
    73: "vault-checked", 74: "damage-found", 80: "key-added", 81: "key-activated", 82: "rows-resealed",
    83: "key-dropped", 84: "root-key-changed", 85: "suite-changed", 86: "grant-registered", 87: "grants-listed",
    88: "revoked", 89: "review-overdue", 90: "review-opened", 91: "review-decided", 92: "review-closed",
    93: "reviews-listed", 94: "case-assigned", 95: "case-closed", 96: "case-overdue", 97: "cases-listed",
    98: "signing-epoch-begun", 99: "checkpoint-anchored", 100: "anchor-failed", 101: "entry-disclosed",
    102: "log-exported", 103: "log-pruned", 104: "log-hold-placed", 105: "log-hold-lifted", 106: "access-report-read",
    107: "disclosures-accounted", 108: "sink-attached", 109: "sink-detached",
    110: "log-subscribed", 111: "flag-raised", 112: "flag-assigned", 113: "flag-closed", 114: "flag-overdue",
    115: "flags-listed", 116: "log-monitored", 117: "monitoring-changed", 118: "log-summarised", 119: "proof-given",
    120: "backup-made", 121: "backup-failed", 122: "backup-verified", 123: "vault-restored", 124: "drill-done",
    125: "backup-pruned",
}
OUTCOMES = (None, "allowed", "denied", "failed")
EVENT, OUTCOME, ACTION, PURPOSE, SUBJECTS, CLOCK, TEXTS = 1, 2, 7, 8, 0x0100, 0x80FF, range(0x8001, 0x8005)
PRUNED = 0x800A
SIZES = {EVENT: 2, OUTCOME: 1, 3: 16, 4: 16, 6: 16, 7: 4, 8: 4, 9: 2, 0xA: 16, 0xB: 16, 0xC: 16, 0xD: 4, PRUNED: 144, CLOCK: 8}
POSSESSION, ATTESTERS, REFUSALS = 0x8005, 0x8006, 0x8008
LISTS = {
    5: range(16, 129, 16), ATTESTERS: range(16, 513, 16), 0x8007: range(16, 8_001, 8), REFUSALS: range(3, 289, 3),
}
class Log:
    """The entries of all frames: chained, opened, and shown in a line each."""
    def __init__(self, vault):
        journal, self.lines, self.before = vault.journal, [], (-(1 << 63), 0, 0)
        self.vault, self.counters, self.head, self.signs = vault, dict(journal.tallies), bytes(32), 1
        self.pruned, leaf = [], None
        if journal.begins and journal.entries:  # what stood before is gone
            self.signs, self.head = struct.unpack_from(">I32s", journal.entries[0][0].ljust(78), 42)
        for seq, (entry, tags) in enumerate(journal.entries, journal.begins):
            line = self.entry(entry, tags, seq)
            self.head = H(b"\0" + entry)
            self.lines += [line] if seq >= journal.first else []
            leaf = entry[46:78] if seq == journal.first else leaf
        must(self.lines, LOG, "no entry, not even that the vault was created")
        self.begins(journal.first, leaf)
    def begins(self, first, leaf):
        """Pruned entries: the newest entry that says so, and the row, allow the log to begin where it does."""
        row = self.vault.policies["log_retention"].get(CUT.hex())
        must((row["end"] if row else 0) == first, LOG, "the log begins where nothing says that it may")
        for seq, said in self.pruned:
            must(struct.unpack_from(">Q", said, 8)[0] <= first, LOG, f"what entry {seq} pruned is there again")
        if row:
            found = [seq for seq, said in self.pruned if said.hex() == row["said"] and seq > row["before"]]
            must(len(found) == 1 and bytes.fromhex(row["said"])[16:48] == leaf, LOG, "what was pruned")
    def entry(self, entry, tags, seq):
        """Audit entry, Chain."""
        c = Cursor(entry, LOG, f"entry {seq}")
        magic, kind, flags, vault, number, time, epoch, key_id, prev = c.read("4s2B16sQq2I32s")
        (_salt, commitment, size), ciphertext = c.read("16s32sH"), c.rest()
        c.must(magic == b"CVA1" and 1 <= kind <= 5 and (kind == 1) == (seq == 0) and flags & 0x0E == 0)
        c.must((vault, number, prev) == (self.vault.id, seq, self.head) and len(ciphertext) == size + 16)
        c.must(all(a <= b for a, b in zip(self.before, (time, epoch, key_id))))
        signs, self.signs = self.signs, key_id
        c.must(epoch in self.vault.keys.audit and key_id - signs in ((0, 1) if kind == 3 else (0,)))
        self.before = time, epoch, key_id
        key = self.vault.keys.audit[epoch]
        keys = expand(expand(key, L("audit-entry") + H(entry[:94]), 32), L("audit-open"), 64)
        payload = aead_open(flags >> 4, keys[:32], ciphertext, 64) if same(keys[32:], commitment) else None
        c.must(payload is not None)
        fields = self.payload(Cursor(payload, LOG, c.where))
        c.must((kind == 3 and fields[EVENT] == be(2, 98)) == (key_id > signs))
        c.must((CLOCK in fields) == bool(flags & 1))
        c.must((PRUNED in fields) == (kind == 4))
        if kind == 4:
            pruned(c, fields[PRUNED])
            self.pruned.append((seq, fields[PRUNED]))
        subjects = self.subjects(Cursor(fields.get(SUBJECTS, b""), LOG, c.where), seq, flags >> 4, key)
        c.must([tag for tag, _ in subjects] == tags)
        return " ".join([str(seq), when(time), *self.words(fields), *(text for _, text in subjects)])
    def payload(self, p):
        """Payload: fields by tag."""
        fields, last = {}, 0
        while p.at < len(p.data):
            tag, value = p.one("H"), p.sized("H")
            known = len(value) == SIZES[tag] if tag in SIZES else tag == SUBJECTS or tag & 0x8000
            known = len(value) in LISTS[tag] if tag in LISTS else known and (tag != POSSESSION or value == b"\1")
            p.must(tag > last and known and (tag not in TEXTS or len(value) <= (1_024 if tag == TEXTS[0] else 128)))
            last, fields[tag] = tag, value
        p.must(EVENT in fields and fields.get(OUTCOME) in (b"\1", b"\2", b"\3"))
        return fields
    def words(self, fields):
        """What a reader of the log looks for first."""
        number = {tag: int.from_bytes(value, "big") for tag, value in fields.items()}
        yield from (str(EVENTS.get(number[EVENT], number[EVENT])), OUTCOMES[number[OUTCOME]])
        for tag, names in ((ACTION, ACTIONS), (PURPOSE, PURPOSES)):
            if tag in fields:
                must(number[tag] in (1 << bit for bit in range(len(names))), LOG, "action or purpose")
                yield names[number[tag].bit_length() - 1]
        named = (3, "actor"), (0xA, "ticket"), (POSSESSION, "possession"), (ATTESTERS, "attesters")
        yield from (f"{name} {fields[tag].hex()}" for tag, name in named if tag in fields)
        if REFUSALS in fields:
            refusals = struct.iter_unpack(">BH", fields[REFUSALS])
            yield "refused " + " ".join(f"{block}:{code:04X}" for block, code in refusals)
        yield from (json.dumps(text(fields[tag])) for tag in TEXTS if tag in fields)
    def subjects(self, c, seq, suite, key):
        """Subjects: the tag of each, and what the entry says of it."""
        found = []
        for index in range(c.one("H") if c.data else 0):
            (tag, generation), sealed = c.read("16sI"), c.sized("H")
            secret = self.vault.secrets.get((tag, generation))
            if secret is None:
                found.append((tag, "an erased patient"))
                continue
            prk = extract(key, secret)
            body = open_sealed(prk, "subject", suite, self.vault.id + be(8, seq) + be(2, index), sealed, 64)
            c.must(body is not None)
            first = extract(self.vault.keys.audit[min(self.vault.keys.audit)], secret)
            patient, records = self.block(Cursor(body, LOG, c.where), tag, expand(first, L("version"), 32))
            found.append((tag, f"patient {patient.hex()} records {records}"))
        c.end()
        return found
    def block(self, c, tag, key):
        """The block of one subject: its entries are numbered, and the records are those that are stored."""
        (patient, counter, groups), records = c.read("16sQH"), 0
        self.counters[tag] = self.counters.get(tag, 0) + 1
        c.must(patient == self.vault.patients[tag] and counter == self.counters[tag])
        for kind, n in (c.read("16sH") for _ in range(groups)):
            for number, version, version_tag in (c.read("QI16s") for _ in range(n)):
                body = self.vault.bodies.get((patient, kind, number, version))
                named = patient + kind + be(8, number) + be(4, version)
                expected = bytes(16) if version == 0 else body and HMAC(key, named + body)[:16]
                c.must(version_tag == expected)
                records += 1
        c.end()
        return patient, records

# ==== What is shown ====
def when(micros):
    if not -62_135_596_800 <= micros // 1_000_000 < 253_402_300_800:
        return f"{micros}us"
    return f"{(datetime(1970, 1, 1) + timedelta(microseconds=micros)).isoformat()}Z"
def charts(vault, only):
    """Every version of every record, by patient."""
    found = {patient.hex(): [] for patient in vault.patients.values() if only in (None, patient.hex())}
    must(found or only is None, USAGE, "no such patient")
    for (patient, _, number, version), body in vault.bodies.items():
        kind, value, fields = record_body(body)
        names = {"kind": vault.policies["kinds"].get(kind.hex(), kind.hex()), "number": number, "version": version}
        if patient.hex() in found:
            found[patient.hex()].append(names | fields | {"value": value})
    return found
def show(vault, log, found, args):
    for patient, versions in found.items():
        yield f"patient {patient}: {len(versions)} versions\n"
        for v in versions:
            yield f"  {v['kind']} {v['number']} version {v['version']} {v['status']} by {v['author']} "
            yield f"at {when(v['recorded_at'])}, {v['size']} bytes of codec {v['codec']}\n"
            if args.values:
                yield from (v["value"] if v["codec"] == 2 else v["value"].hex(), "\n")
    yield from (f"{line}\n" for line in log.lines if args.log)
    yield f"log: {len(log.lines)} entries, newest leaf {log.head.hex()}\n"
    yield from (f"{what}: {name}, {row}\n" for what, rows in vault.policies.items() for name, row in rows.items())
    if vault.journal.torn:
        yield "behind the last commit stands one that was never finished; it is left out\n"
def passphrase(path):
    given = content(path) if path else os.environb.get(b"CHARTVAULT_PASSPHRASE", b"")
    must(given := given.removesuffix(b"\n").removesuffix(b"\r"), USAGE)
    return unicodedata.normalize("NFC", text(given)).encode()
def run():
    codes = "".join(f"  {code:2}  {text}\n" for code, text in enumerate(CODES))
    parser = argparse.ArgumentParser(description=__doc__ + codes, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("--passphrase-file", metavar="FILE")
    parser.add_argument("--patient", metavar="ID", help="this chart alone: 32 hexadecimal digits")
    parser.add_argument("--values", action="store_true", help="values as they are; those of codec 1 in hexadecimal")
    parser.add_argument("--log", action="store_true", help="a line for each entry of the log")
    parser.add_argument("--json", action="store_true", help="all of it as one object; times in microseconds since 1970")
    args = parser.parse_args()
    vault = Vault(args.dir, passphrase(args.passphrase_file))
    found, log = charts(vault, args.patient), Log(vault)
    if args.json:
        journal, chain = vault.journal, {"entries": len(log.lines), "head": log.head, "lines": log.lines}
        shown = {"vault": vault.id, "frames": journal.number, "torn": journal.torn, "log": chain}
        shown |= {"policy": vault.policies, "patients": found}
        return json.dump(shown, sys.stdout, default=lambda data: data.hex())
    for piece in show(vault, log, found, args):
        sys.stdout.buffer.write(piece if isinstance(piece, bytes) else piece.encode())
def main():
    try:
        run()
        return OK
    except Exception as why:
        fault = (NO_VAULT, why.strerror) if isinstance(why, OSError) else (FAULT, type(why).__name__)
        code, where = why.args if isinstance(why, Refused) else fault
    print(f"read_vault: {CODES[code]}" + (f" ({where})" if where else ""), file=sys.stderr)
    return code
if __name__ == "__main__":
    sys.exit(main())
