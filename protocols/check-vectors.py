#!/usr/bin/env python3
"""Checks every vector of this folder against the specifications, with nothing but Python's standard library.

    python3 protocols/check-vectors.py

Written from the v1.md texts alone: CBOR, CDDL, Ed25519 and the prices below share no code with tok-node. So when both
agree on a vector, the texts are enough to implement from. Exits 1 if any vector disagrees.
"""

import hashlib
import hmac
import json
import re
import sys
import unicodedata
from pathlib import Path

HERE = Path(__file__).resolve().parent
REGISTRY = json.loads((HERE / "registry.json").read_text("utf-8"))
LIMITS = REGISTRY["limits"]
FOLDERS = ["envelope", "advert", "inference", "account", "ledger"]


class Refused(Exception):
    """A message is refused: by which step, with which code."""

    def __init__(self, step, code):
        super().__init__(f"{code} at {step}")
        self.step, self.code = step, code


# Deterministic CBOR (envelope/v1.md, "Encoding")


class Malformed(Exception):
    """Bytes that are not one deterministic CBOR item."""


NESTING_MAX = 32


def decode_cbor(data):
    value, end = decode_item(data, 0, 0)
    if end != len(data):
        raise Malformed("bytes after the item")
    return value


def decode_item(data, at, depth):
    if depth > NESTING_MAX:
        raise Malformed("nested too deep")
    major, argument, at = decode_head(data, at)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major in (2, 3):
        end = at + argument
        if end > len(data):
            raise Malformed("cut short")
        content = data[at:end]
        return (content if major == 2 else decode_text(content)), end
    if major == 4:
        items = []
        for _ in range(argument):
            item, at = decode_item(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        return decode_map(data, at, argument, depth)
    raise Malformed("a tag, a float or a simple value")


def decode_head(data, at):
    if at >= len(data):
        raise Malformed("cut short")
    major, low = data[at] >> 5, data[at] & 0x1F
    if major == 7:
        raise Malformed("a float or a simple value")
    at += 1
    if low < 24:
        return major, low, at
    if low > 27:
        raise Malformed("indefinite length")
    width = 1 << (low - 24)
    if at + width > len(data):
        raise Malformed("cut short")
    argument = int.from_bytes(data[at : at + width], "big")
    least = 24 if width == 1 else 1 << (4 * width)
    if argument < least:
        raise Malformed("not the shortest form")
    return major, argument, at + width


def decode_text(content):
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    if text.startswith("\ufeff"):
        raise Malformed("a byte order mark")
    return text


def decode_map(data, at, count, depth):
    entries = {}
    last = None
    for _ in range(count):
        start = at
        key, at = decode_item(data, at, depth + 1)
        encoded_key = data[start:at]
        if not isinstance(key, str):
            raise Malformed("a key that is not a text")
        if last is not None and encoded_key <= last:
            raise Malformed("keys that are unsorted or repeated")
        last = encoded_key
        entries[key], at = decode_item(data, at, depth + 1)
    return entries, at


def encode_cbor(value):
    if isinstance(value, int):
        return encode_head(0, value) if value >= 0 else encode_head(1, -1 - value)
    if isinstance(value, bytes):
        return encode_head(2, len(value)) + value
    if isinstance(value, str):
        content = value.encode("utf-8")
        return encode_head(3, len(content)) + content
    if isinstance(value, list):
        return encode_head(4, len(value)) + b"".join(encode_cbor(item) for item in value)
    entries = sorted((encode_cbor(key), encode_cbor(of)) for key, of in value.items())
    return encode_head(5, len(entries)) + b"".join(key + of for key, of in entries)


def encode_head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    for low, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * width):
            return bytes([major << 5 | low]) + argument.to_bytes(width, "big")
    raise ValueError("too large for CBOR")


# The part of CDDL (RFC 8610) that the v1.cddl files use

CDDL_TOKEN = re.compile(
    r'\s+|;[^\n]*|(?P<text>"[^"]*")|(?P<control>\.size)|(?P<range>\.\.)|(?P<arrow>=>)|(?P<number>\d+)'
    r"|(?P<name>[A-Za-z][\w-]*)|(?P<mark>[={}\[\]():,?/*])"
)


class Grammar:
    """The rules of all v1.cddl files, each parsed to a tuple (kind, ...)."""

    def __init__(self, source):
        self.tokens = []
        at = 0
        while at < len(source):
            match = CDDL_TOKEN.match(source, at)
            if match is None:
                raise SyntaxError(f"CDDL: {source[at:at + 40]!r}")
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match.group()))
            at = match.end()
        self.at = 0
        self.rules = {}
        while self.at < len(self.tokens):
            name = self.take("name")
            self.take("mark", "=")
            if name in self.rules:
                raise SyntaxError(f"CDDL: {name} is defined twice")
            self.rules[name] = self.choice()

    def peek(self, kind, text=None, ahead=0):
        token = self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else (None, None)
        return token[0] == kind and text in (None, token[1])

    def take(self, kind, text=None):
        if not self.peek(kind, text):
            raise SyntaxError(f"CDDL: {text or kind} expected, not {self.tokens[self.at:self.at + 3]}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def accept(self, kind, text=None):
        return self.take(kind, text) if self.peek(kind, text) else None

    def choice(self):
        types = [self.type()]
        while self.accept("mark", "/"):
            types.append(self.type())
        return types[0] if len(types) == 1 else ("choice", types)

    def type(self):
        if self.peek("text"):
            return ("literal", self.take("text")[1:-1])
        if self.peek("number"):
            return ("range", *self.bounds())
        if self.accept("mark", "{"):
            return self.map()
        if self.accept("mark", "["):
            least, most = self.occurrence()
            item = self.choice()
            self.take("mark", "]")
            return ("list", least, most, item)
        name = self.take("name")
        if name not in ("tstr", "bstr"):
            return ("rule", name)
        self.take("control")
        if self.accept("mark", "("):
            sizes = self.bounds()
            self.take("mark", ")")
        else:
            sizes = self.bounds()
        return (name, *sizes)

    def bounds(self):
        low = int(self.take("number"))
        return low, int(self.take("number")) if self.accept("range") else low

    def occurrence(self):
        least = int(self.take("number"))
        self.take("mark", "*")
        return least, int(self.take("number"))

    def map(self):
        if self.peek("number"):
            least, most = self.occurrence()
            key = self.choice()
            self.take("arrow")
            value = self.choice()
            self.take("mark", "}")
            return ("table", least, most, key, value)
        fields = {}
        while not self.accept("mark", "}"):
            is_optional = self.accept("mark", "?") is not None
            name = self.take("name")
            self.take("mark", ":")
            fields[name] = (is_optional, self.choice())
            self.accept("mark", ",")
        return ("map", fields)

    def read(self, rule, value):
        """The JSON reading of a decoded value; None if it is not what the rule says."""
        try:
            return self._read(("rule", rule), value)
        except ValueError:
            return None

    def _read(self, type_, value):
        kind = type_[0]
        if kind == "rule":
            reading = self._read(self.rules[type_[1]], value)
            return str(reading) if type_[1] == "amount" else reading
        if kind == "choice":
            for each in type_[1]:
                try:
                    return self._read(each, value)
                except ValueError:
                    continue
            raise ValueError
        if kind == "literal" and value == type_[1]:
            return value
        if kind == "range" and isinstance(value, int) and type_[1] <= value <= type_[2]:
            return value
        if kind == "tstr" and isinstance(value, str) and type_[1] <= len(value.encode("utf-8")) <= type_[2]:
            return value
        if kind == "bstr" and isinstance(value, bytes) and type_[1] <= len(value) <= type_[2]:
            return value.hex()
        if kind == "list" and isinstance(value, list) and type_[1] <= len(value) <= type_[2]:
            return [self._read(type_[3], item) for item in value]
        if kind == "table" and isinstance(value, dict) and type_[1] <= len(value) <= type_[2]:
            return {self._read(type_[3], key): self._read(type_[4], item) for key, item in value.items()}
        if kind == "map" and isinstance(value, dict):
            fields = type_[1]
            if not set(value) <= set(fields):
                raise ValueError
            if any(not optional and name not in value for name, (optional, _) in fields.items()):
                raise ValueError
            return {name: self._read(fields[name][1], item) for name, item in value.items()}
        raise ValueError

    def write(self, type_, reading):
        """The value of a JSON reading: what `read` undoes."""
        kind = type_[0]
        if kind == "rule":
            return int(reading) if type_[1] == "amount" else self.write(self.rules[type_[1]], reading)
        if kind == "bstr":
            return bytes.fromhex(reading)
        if kind == "list":
            return [self.write(type_[3], item) for item in reading]
        if kind == "map":
            return {name: self.write(type_[1][name][1], item) for name, item in reading.items()}
        return reading


GRAMMAR = Grammar("".join((HERE / folder / "v1.cddl").read_text("utf-8") for folder in FOLDERS))


# Ed25519 (RFC 8032, section 5.1), verification only

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    i, j, k, l = f - e, h - g, h + g, f + e
    return i * j % P, k * l % P, j * k % P, i * l % P


def multiply(scalar, point):
    product = NEUTRAL
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point = add(point, point)
        scalar >>= 1
    return product


def recover_point(encoded):
    """The point of 32 bytes, or None. As every common verifier does, y is taken modulo p."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    x_squared = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if (x * x - x_squared) % P:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - x_squared) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def compress(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = recover_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_small_order(key):
    point = recover_point(key)
    return point is not None and compress(multiply(8, point)) == compress(NEUTRAL)


def equation_holds(key, message, signature):
    point = recover_point(key)
    if point is None:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    negated = (-point[0] % P, point[1], 1, -point[3] % P)
    return compress(add(multiply(scalar, BASE), multiply(challenge, negated))) == signature[:32]


def sha256(data):
    return hashlib.sha256(data).digest()


# envelope/v1.md

SIGNERS = {
    "advert": "seller",
    "order": "buyer",
    "acceptance": "seller",
    "voucher": "buyer",
    "receipt": "seller",
    "statement": "seller",
    "rejection": "buyer",
    "export": "node",
}


def read_body(rule, body, step="envelope 3"):
    """Decodes a body or an unsigned payload; gives the value and its JSON reading."""
    try:
        value = decode_cbor(body)
    except Malformed as error:
        raise Refused(step, "encoding_invalid") from error
    reading = GRAMMAR.read(rule, value)
    if reading is None:
        raise Refused(step, "encoding_invalid")
    return value, reading


def signing_input(domain, body):
    return domain.encode() + b"\0" + sha256(body)


def check_signature(kind, key, body, signature, step=None):
    if has_small_order(key):
        raise Refused(step or "envelope 4", "signature_invalid")
    if int.from_bytes(signature[32:], "little") >= L:
        raise Refused(step or "envelope 5", "signature_invalid")
    if not equation_holds(key, signing_input(REGISTRY["domains"][kind], body), signature):
        raise Refused(step or "envelope 6", "signature_invalid")


def open_envelope(kind, data):
    try:
        envelope = decode_cbor(data)
    except Malformed as error:
        raise Refused("envelope 1", "encoding_invalid") from error
    if GRAMMAR.read("envelope", envelope) is None:
        raise Refused("envelope 2", "encoding_invalid")
    body, signature = envelope["body"], envelope["signature"]
    value, reading = read_body(kind, body)
    check_signature(kind, value[SIGNERS[kind]], body, signature)
    return value, {
        "value": reading,
        "body": body.hex(),
        "signed": signing_input(REGISTRY["domains"][kind], body).hex(),
        "signature": signature.hex(),
        "id": sha256(body).hex(),
    }


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_id(key):
    data = bytes.fromhex("002408011220") + key
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


# advert/v1.md


def open_advert(data, network, now_ms):
    if len(data) > LIMITS["advertBytes"]:
        raise Refused("advert 1", "frame_too_large")
    advert, result = open_envelope("advert", data)
    if advert["network"] != network:
        raise Refused("advert 3", "network_mismatch")
    life = REGISTRY["advertLifetimeMs"]
    if not life["min"] <= advert["expiresAtMs"] - advert["issuedAtMs"] <= life["max"]:
        raise Refused("advert 4", "encoding_invalid")
    if advert["issuedAtMs"] > now_ms + REGISTRY["clockToleranceMs"]:
        raise Refused("advert 5", "encoding_invalid")
    if advert["expiresAtMs"] <= now_ms:
        raise Refused("advert 6", "advert_expired")
    return result


def canonical_model(name):
    name = unicodedata.normalize("NFKC", name).lower().strip()
    return re.sub(r":latest$", "", re.sub(r"[_\s]+", "-", name))


# inference/v1.md


def price(usage, prices):
    cached, written = usage["cachedInputTokens"], usage["cacheWriteTokens"]
    cost = (
        (usage["inputTokens"] - cached - written) * int(prices["input"])
        + cached * int(prices["cachedInput"])
        + written * int(prices["cacheWrite"])
        + usage["outputTokens"] * int(prices["output"])
    )
    return int(prices["callFee"]) + -(-cost // 1_000_000)


def cap(usage, limits):
    whole = min(usage["inputTokens"], limits["inputTokensMax"])
    cached = min(usage["cachedInputTokens"], whole)
    return {
        "inputTokens": whole,
        "cachedInputTokens": cached,
        "cacheWriteTokens": min(usage["cacheWriteTokens"], whole - cached),
        "outputTokens": min(usage["outputTokens"], limits["outputTokensMax"]),
    }


def check_billing(usage, amount, order):
    def refuse(step):
        raise Refused(f"bill {step}", "voucher_invalid")

    if usage["cachedInputTokens"] + usage["cacheWriteTokens"] > usage["inputTokens"]:
        refuse(1)
    if usage["inputTokens"] > order["inputTokensMax"]:
        refuse(2)
    if usage["outputTokens"] > order["outputTokensMax"]:
        refuse(3)
    if amount > int(order["amountMax"]):
        refuse(4)
    if amount != price(usage, order["prices"]):
        refuse(5)


def commitment(salt, query, body):
    lengths = len(query).to_bytes(4, "big") + len(body).to_bytes(4, "big")
    return hmac.new(salt, lengths + query + body, hashlib.sha256).digest()


def read_part(payload):
    if len(payload) < 4:
        raise Refused("part 1", "frame_malformed")
    return {"outputTokens": int.from_bytes(payload[:4], "big"), "content": payload[4:].hex()}


# account/v1.md


def account_id(account):
    body = encode_cbor(GRAMMAR.write(("rule", "account"), account))
    return sha256(REGISTRY["hashPrefixes"]["accountId"].encode() + b"\0" + body)


def open_statement(data):
    dual_signed, _ = read_body("dual-signed", data, "statement 1")
    body = dual_signed["body"]
    value, reading = read_body("statement", body, "statement 1")
    check_signature("statement", value["seller"], body, dual_signed["sellerSignature"], "statement 2")
    check_signature("statement", value["buyer"], body, dual_signed["buyerSignature"], "statement 3")
    return {
        "value": reading,
        "body": body.hex(),
        "signed": signing_input(REGISTRY["domains"]["statement"], body).hex(),
        "sellerSignature": dual_signed["sellerSignature"].hex(),
        "buyerSignature": dual_signed["buyerSignature"].hex(),
        "id": sha256(body).hex(),
    }


def check_chain(account, head, statement):
    def require(step, holds):
        if not holds:
            raise Refused(f"statement {step}", "statement_invalid")

    _, reading = read_body("statement", statement)
    require(4, all(reading[name] == account[name] for name in ("network", "asset", "buyer", "seller")))
    require(5, reading["sequence"] == head["sequence"] + 1)
    require(6, reading.get("previous") == head.get("head"))
    require(7, int(reading["owed"]) == int(head["owed"]) + sum(int(item["amount"]) for item in reading["items"]))
    require(8, reading["paid"] == head["paid"])
    require(9, len({item["order"] for item in reading["items"]}) == len(reading["items"]))


def check_item(order, item, voucher, receipt):
    for step, bill in ((17, item), (18, voucher)):
        try:
            check_billing(bill["usage"], int(bill["amount"]), order)
        except Refused as refused:
            raise Refused(f"statement {step}", "statement_invalid") from refused
    due = min(int(each["amount"]) for each in (voucher, receipt) if each is not None)
    if int(item["amount"]) != due:
        raise Refused("statement 19", "statement_invalid")


# The checks by the name a case gives: each takes the case and gives what must stand in it, or raises Refused.


def of_open(case):
    return open_envelope(case["kind"], bytes.fromhex(case["envelope"]))[1]


def of_advert(case):
    return open_advert(bytes.fromhex(case["envelope"]), case["network"], case["nowMs"])


def of_read(case):
    data = bytes.fromhex(case["bytes"])
    _, reading = read_body(case["rule"], data)
    return {"value": reading, **({"digest": sha256(data).hex()} if "digest" in case else {})}


def of_model_key(case):
    canonical = canonical_model(case["model"])
    name = f"{REGISTRY['hashPrefixes']['modelKey']}/{case['network']}/{canonical}"
    return {"canonical": canonical, "key": sha256(name.encode("utf-8")).hex()}


def of_billing(case):
    check_billing(case["usage"], int(case["amount"]), case["order"])
    return {}


def of_commitment(case):
    query = case["query"].encode("utf-8")
    return {"commitment": commitment(bytes.fromhex(case["salt"]), query, bytes.fromhex(case["body"])).hex()}


def of_chain(case):
    check_chain(case["account"], case["head"], bytes.fromhex(case["statement"]))
    return {}


def of_item(case):
    check_item(case["order"], case["item"], case["voucher"], case.get("receipt"))
    return {}


CHECKS = {
    "open": of_open,
    "advert": of_advert,
    "read": of_read,
    "peer": lambda case: {"peer": peer_id(bytes.fromhex(case["publicKey"]))},
    "model-key": of_model_key,
    "price": lambda case: {"amount": str(price(case["usage"], case["prices"]))},
    "cap": lambda case: {"capped": cap(case["usage"], case["limits"])},
    "billing": of_billing,
    "commitment": of_commitment,
    "part": lambda case: read_part(bytes.fromhex(case["payload"])),
    "account-id": lambda case: {"id": account_id(case["account"]).hex()},
    "statement": lambda case: open_statement(bytes.fromhex(case["dualSigned"])),
    "chain": of_chain,
    "item": of_item,
}


def disagreement(case, must_accept):
    """How this program and the case differ, or None."""
    try:
        result = CHECKS[case["check"]](case)
    except Refused as refused:
        if must_accept:
            return f"refused: {refused}"
        if (refused.code, refused.step) != (case["error"], case["step"]):
            return f"refused with {refused}, not with {case['error']} at {case['step']}"
        return None
    if not must_accept:
        return "accepted"
    different = [name for name, value in result.items() if case[name] != value]
    if different:
        return f"different: {', '.join(different)}"
    rule = case.get("rule", case.get("kind", "statement"))
    if "value" in case and encode_cbor(GRAMMAR.write(("rule", rule), case["value"])).hex() != case.get("body", case.get("bytes")):
        return "the value has another encoding"
    return None


def main():
    checked = failed = 0
    for folder in FOLDERS:
        vectors = json.loads((HERE / folder / "v1.vectors.json").read_text("utf-8"))
        disagreements = []
        for group in ("accept", "reject"):
            for case in vectors[group]:
                problem = disagreement(case, group == "accept")
                if problem:
                    disagreements.append(f"  {group}: {case['name']}: {problem}")
        accepts, rejects = len(vectors["accept"]), len(vectors["reject"])
        print(f"{vectors['protocol']}: {accepts} accepted, {rejects} rejected, {len(disagreements)} disagree")
        print("".join(f"{line}\n" for line in disagreements), end="")
        checked += accepts + rejects
        failed += len(disagreements)
    print(f"{checked} vectors checked, {failed} disagree")
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
