#!/usr/bin/env python3
"""Checks every vector of this folder against the specifications, with nothing but Python's standard library.

    python3 protocols/check-vectors.py

Written from the v1.md texts alone: CBOR, CDDL, Ed25519 and the prices below share no code with tok-node. So when both
agree on a vector, the texts are enough to implement from. Exits 1 if any vector disagrees.
"""

import base64
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
            return {name: self._read(of, value[name]) for name, (_, of) in fields.items() if name in value}
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
        if kind == "choice" and isinstance(reading, dict):
            rules = (self.rules[each[1]] for each in type_[1])
            return self.write(next(rule for rule in rules if rule[1]["kind"][1][1] == reading["kind"]), reading)
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
    "payment": "buyer",
    "netting": "buyer",
    "checkpoint": "node",
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


def key_of_peer(peer):
    """The key of a peer ID's text, or None."""
    if not isinstance(peer, str) or any(digit not in BASE58 for digit in peer):
        return None
    number = 0
    for digit in peer:
        number = number * 58 + BASE58.index(digit)
    key = number.to_bytes(64, "big")[-32:]
    return key if peer_id(key) == peer and not has_small_order(key) else None


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
    return -(-cost // 1_000_000)


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


BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/=_-]*")
DATA_URL_HEAD = re.compile(rb"data:[^,]{0,200};base64,")
ATTACHMENTS = {b"image", b"image_url", b"input_image", b"document", b"file", b"input_file", b"input_audio"}


def estimate(body):
    text_bytes = attachments = at = 0
    after_type = False
    while at < len(body):
        if body[at] == 0x22:
            start, end, saved = at + 1, at + 1, 0
            while end < len(body) and body[end] != 0x22:
                if body[end] == 0x5C:
                    is_long = body[end + 1 : end + 2] == b"u"
                    saved += 3 if is_long else 1
                    end += 5 if is_long else 1
                end += 1
            end = min(end, len(body))
            string = body[start:end]
            if not is_opaque(string):
                text_bytes += max(0, len(string) - saved)
            attachments += after_type and string in ATTACHMENTS
            after_type = string == b"type" and body[end + 1 :].lstrip(b" \t\n\r").startswith(b":")
            at = end + 1
        elif body[at] in b"-0123456789":
            text_bytes += 4
            at += 1
            while at < len(body) and body[at] in b"0123456789+-.eE":
                at += 1
        else:
            at += 1
    return 3 + 1600 * attachments + -(-text_bytes // 4)


def is_opaque(string):
    if len(string) < 512:
        return False
    head = DATA_URL_HEAD.match(string)
    return BASE64_TEXT.fullmatch(string) is not None or bool(head and BASE64_TEXT.fullmatch(string, head.end()))


def text_bytes(*values):
    return sum(len(value.encode("utf-8")) for value in values if isinstance(value, str))


def members(value, *names):
    return text_bytes(*(value.get(name) for name in names)) if isinstance(value, dict) else 0


def items_of(value):
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class GeneratedText:
    """Bytes of generated text in the events of one stream."""

    def __init__(self, endpoint):
        self.read = {"chat": self.chat, "messages": self.messages, "responses": self.responses}[endpoint]
        self.bytes = 0
        self.open_items = {}

    def chat(self, event):
        for choice in items_of(event.get("choices")):
            delta = choice.get("delta") or {}
            self.bytes += members(delta, "content", "refusal")
            self.bytes += sum(members(part, "text") for part in items_of(delta.get("content")))
            reasoning = delta.get("reasoning_content")
            self.bytes += text_bytes(delta.get("reasoning") if reasoning is None else reasoning)
            for call in items_of(delta.get("tool_calls")):
                self.bytes += sum(members(call.get(of), "name", "arguments", "input") for of in ("function", "custom"))
            self.bytes += members(delta.get("function_call"), "name", "arguments", "input")

    def messages(self, event):
        if event.get("type") == "content_block_start":
            block = event.get("content_block") or {}
            self.bytes += members(block, "text", "thinking", "name")
            if isinstance(block.get("input"), dict) and block["input"]:
                self.bytes += text_bytes(compact_json(block["input"]))
        if event.get("type") == "content_block_delta":
            delta = event.get("delta") or {}
            field = {
                "text_delta": "text",
                "thinking_delta": "thinking",
                "input_json_delta": "partial_json",
                "compaction_delta": "content",
            }.get(delta.get("type"))
            self.bytes += text_bytes(delta.get(field))

    TEXT_DELTAS = {
        f"response.{name}.delta"
        for name in (
            "output_text",
            "refusal",
            "reasoning_text",
            "reasoning_summary_text",
            "function_call_arguments",
            "custom_tool_call_input",
            "mcp_call_arguments",
            "code_interpreter_call_code",
        )
    }

    def responses(self, event):
        index = event.get("output_index")
        if event.get("type") in self.TEXT_DELTAS:
            self.count(index, text_bytes(event.get("delta")))
        elif event.get("type") == "response.output_item.added":
            self.count(index, members(event.get("item"), "name"))
        elif event.get("type") == "response.output_item.done":
            self.bytes += max(0, item_bytes(event.get("item") or {}) - self.open_items.pop(index, 0))
        elif event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            output = items_of((event.get("response") or {}).get("output"))
            self.bytes = max(self.bytes, sum(map(item_bytes, output)))

    def count(self, index, counted):
        self.bytes += counted
        self.open_items[index] = self.open_items.get(index, 0) + counted


CALL_ITEMS = {
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "computer_call",
    "tool_search_call",
}


def item_bytes(item):
    counted = members(item, "name", "arguments", "input", "code")
    structured = item.get("action", item.get("operation"))
    if item.get("type") in CALL_ITEMS and isinstance(structured, dict):
        counted += text_bytes(compact_json(structured))
    parts = items_of(item.get("content")) + items_of(item.get("summary"))
    return counted + sum(members(part, "text", "refusal") for part in parts)


def compact_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def running_counts(case):
    """The count after each part. The text of a stream is read again each time: what a cut changes would show."""
    received, counts = b"", []
    for part in case["parts"]:
        received += bytes.fromhex(part)
        if case["status"] >= 400:
            counted = 0
        elif not case["contentType"].lower().startswith("text/event-stream"):
            counted = len(received)
        else:
            text = GeneratedText(case["endpoint"])
            for event in re.split(rb"\r\n\r\n|\n\n|\r\r", received)[:-1]:
                read_event(text, event)
            counted = text.bytes
        counts.append(min(-(-counted // 4), case["outputTokensMax"]))
    return {"outputTokens": counts}


def read_event(text, event):
    lines = [line[5:].removeprefix(b" ") for line in re.split(rb"\r\n|\n|\r", event) if line.startswith(b"data:")]
    try:
        value = json.loads(b"\n".join(lines))
    except ValueError:
        return
    if isinstance(value, dict):
        text.read(value)


def billed(order, seen):
    none = {"inputTokens": 0, "cachedInputTokens": 0, "cacheWriteTokens": 0, "outputTokens": 0}
    if seen.get("httpStatus", 500) >= 400:
        return {"usage": none, "source": "counted"}
    reported = seen["reported"]
    if "inputTokens" in reported and ("outputTokens" in reported or order["endpoint"] == "embeddings"):
        return {"usage": cap(none | reported, order), "source": "provider"}
    counted = {"inputTokens": order["inputTokensEstimate"], "outputTokens": seen["countedOutputTokens"]}
    return {"usage": cap(none | counted, order), "source": "counted"}


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
    calls = [int(item["amount"]) for item in reading["items"] if item["kind"] == "call"]
    settlements = [int(item["amount"]) for item in reading["items"] if item["kind"] != "call"]
    require(7, int(reading["owed"]) == int(head["owed"]) + sum(calls))
    require(8, int(reading["paid"]) == int(head["paid"]) + sum(settlements) and 0 not in settlements)
    require(8, int(reading["paid"]) <= int(reading["owed"]))
    names = [name for item in reading["items"] for name in names_of(item)]
    require(9, len(set(names)) == len(names))


def names_of(item):
    """What may stand in one account once."""
    if item["kind"] == "call":
        return [("order", item["order"])]
    if item["kind"] == "netting":
        return [("netting", item["netting"])]
    return [("payment", item["payment"]), ("reference", item["adapter"], item["reference"])]


def check_item(order, item, voucher, receipt):
    for step, bill in ((17, item), (18, voucher)):
        try:
            check_billing(bill["usage"], int(bill["amount"]), order)
        except Refused as refused:
            raise Refused(f"statement {step}", "statement_invalid") from refused
    due = min(int(each["amount"]) for each in (voucher, receipt) if each is not None)
    if int(item["amount"]) != due:
        raise Refused("statement 19", "statement_invalid")


# ledger/v1.md, "Export file"

KEY_FIELDS = {"buyer", "seller", "node", "counterparty"}
DIGEST_FIELDS = {"nonce", "requestCommitment", "answerDigest", "link", "accountsRoot", "entriesRoot", "account"}
KIND_OF_LINE = {
    "order": "order",
    "voucher": "voucher",
    "receipt": "receipt",
    "start": "checkpoint",
    "checkpoint": "checkpoint",
    "seal": "export",
}
PAPERS_MAX = 128


# ledger/v1.md, "Checkpoint": the trees of RFC 9162, section 2.1


def merkle_node(left, right):
    return sha256(b"\x01" + left + right)


def merkle_root(peaks):
    """The root over the roots of the whole subtrees, the largest first."""
    if not peaks:
        return sha256(b"")
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = merkle_node(peak, root)
    return root


def grown(peaks, count, leaf):
    """The peaks of a tree of `count` leaves after one more."""
    added, peaks = sha256(b"\x00" + leaf), list(peaks)
    while count & 1:
        added, count = merkle_node(peaks.pop(), added), count >> 1
    return peaks + [added]


def merkle_path(leaves, index):
    """The path of a leaf by the definition of RFC 9162, section 2.1.3.1."""
    if len(leaves) <= 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:half], leaves[half:]
    if index < half:
        return merkle_path(left, index) + [tree_hash(right)]
    return merkle_path(right, index - half) + [tree_hash(left)]


def tree_hash(leaves):
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    if not leaves:
        return sha256(b"")
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle_node(tree_hash(leaves[:half]), tree_hash(leaves[half:]))


def of_merkle(case):
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"]]
    peaks = []
    for count, leaf in enumerate(leaves):
        peaks = grown(peaks, count, leaf)
    if merkle_root(peaks) != tree_hash(leaves):
        raise AssertionError("two ways to one root disagree")
    paths = [[step.hex() for step in merkle_path(leaves, index)] for index in range(len(leaves))]
    return {"root": tree_hash(leaves).hex(), "peaks": [peak.hex() for peak in peaks], "paths": paths}


def cid(digest):
    data = bytes.fromhex("01711220") + digest
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")


def line_reading(value, rule, field=""):
    """A decoded body as an export line shows it, its fields in the order of the CDDL."""
    type_ = GRAMMAR.rules[rule[1]] if rule[0] == "rule" else rule
    if rule == ("rule", "amount"):
        return str(value)
    if isinstance(value, bytes):
        if field in KEY_FIELDS:
            return peer_id(value)
        return cid(value) if len(value) == 32 and field not in DIGEST_FIELDS else value.hex()
    if isinstance(value, list):
        return [line_reading(item, type_[3], field) for item in value]
    if isinstance(value, dict):
        if type_[0] == "choice":
            type_ = next(rule for rule in map(rule_of, type_[1]) if fits(rule, value))
        return {name: line_reading(value[name], of, name) for name, (_, of) in type_[1].items() if name in value}
    return value


def rule_of(type_):
    return GRAMMAR.rules[type_[1]] if type_[0] == "rule" else type_


def fits(map_type, value):
    """True if the map is of this rule of a choice: its kind says so."""
    return map_type[1]["kind"][1] == ("literal", value["kind"])


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text):
    try:
        return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (ValueError, AttributeError):
        return b""


def write_line(members, before):
    start = json.dumps(members, ensure_ascii=False, separators=(",", ":"))[:-1]
    link = sha256(before + start.encode("utf-8"))
    return f'{start},"link":"{link.hex()}"}}', link


class ExportFile:
    """Reads the lines of an export one by one; raises Refused at the first fault."""

    def __init__(self):
        self.link = bytes(32)
        self.count = 0
        self.header = None
        self.is_sealed = False
        self.heads, self.settled, self.nettings = {}, set(), {}
        self.account, self.papers = None, {}
        self.entries, self.peaks, self.journal_head, self.has_journal = 0, [], None, False
        self.checkpoint, self.checkpoint_line = None, 0

    def require(self, step, holds):
        if not holds:
            raise Refused(f"export {step}", "export_invalid")

    def add(self, line):
        self.require(26, not self.is_sealed)
        self.count += 1
        try:
            members = json.loads(line)
        except ValueError:
            members = None
        self.require(1, isinstance(members, dict))
        if self.count == 1:
            self.read_header(line, members)
            return
        kind = members.get("kind")
        if kind in KIND_OF_LINE:
            self.read_paper(line, members, kind)
        elif kind == "statement":
            self.read_statement(line, members)
        elif kind == "journal":
            self.read_journal(line, members)
        else:
            self.require(3, False)

    def end(self):
        self.require(27, self.is_sealed)

    def check_line(self, line, members):
        text, link = write_line(members, self.link)
        self.require(5, text == line)
        self.link = link

    def decode(self, rule, body):
        try:
            return read_body(rule, body)[0]
        except Refused:
            self.require(4, False)

    def check_signature(self, kind, key, body, signature):
        try:
            self.require(6, len(signature) == 64)
            check_signature(kind, key, body, signature)
        except Refused as refused:
            raise Refused("export 6", "export_invalid") from refused

    def read_header(self, line, members):
        self.header = {name: members.get(name) for name in ("network", "asset", "node", "exportedAtMs")}
        key = key_of_peer(self.header["node"])
        self.require(2, key is not None and isinstance(self.header["exportedAtMs"], int))
        self.header["key"] = key
        shown = {name: value for name, value in self.header.items() if name != "key"}
        self.check_line(line, {"kind": "header", "format": REGISTRY["domains"]["export"], **shown})

    def read_paper(self, line, members, kind):
        rule = KIND_OF_LINE[kind]
        body, signature = from_base64url(members.get("body")), from_base64url(members.get("signature"))
        value = self.decode(rule, body)
        before = self.link
        signed = {"body": base64url(body), "signature": base64url(signature)}
        reading = line_reading(value, ("rule", rule))
        peaks = {"peaks": members.get("peaks")} if kind == "start" else {}
        self.check_line(line, {"kind": kind, "id": cid(sha256(body)), **signed, **peaks, "reading": reading})
        self.check_signature(rule, value[SIGNERS[rule]], body, signature)
        if rule == "checkpoint":
            self.read_checkpoint(value, sha256(body), [bytes.fromhex(peak) for peak in peaks.get("peaks", [])], kind)
        elif kind == "seal":
            if self.checkpoint_line == self.count - 1:
                self.check_accounts(self.checkpoint[0])
            expected = {"lines": self.count - 1, "link": before, "node": self.header["key"]}
            expected |= {name: self.header[name] for name in ("network", "asset", "exportedAtMs")}
            self.require(25, all(value[name] == of for name, of in expected.items()))
            self.is_sealed = True
        else:
            self.papers.pop(sha256(body).hex(), None)
            self.papers[sha256(body).hex()] = (rule, GRAMMAR.read(rule, value))
            if len(self.papers) > PAPERS_MAX:
                del self.papers[next(iter(self.papers))]

    def read_checkpoint(self, value, name, peaks, kind):
        self.require(20, value["node"] == self.header["key"])
        self.require(20, all(value[field] == self.header[field] for field in ("network", "asset")))
        if kind == "start":
            is_tree = len(peaks) == value["entries"].bit_count() and merkle_root(peaks) == value["entriesRoot"]
            self.require(21, not self.has_journal and is_tree)
            self.entries, self.peaks, self.journal_head = value["entries"], peaks, value.get("journalHead")
        self.has_journal = True
        said = (value["entries"], value["entriesRoot"], value.get("journalHead"))
        self.require(22, said == (self.entries, merkle_root(self.peaks), self.journal_head))
        if kind == "checkpoint":
            before, before_id = self.checkpoint or ({"sequence": 0}, None)
            self.require(23, value["sequence"] == before["sequence"] + 1 and value.get("previous") == before_id)
        self.checkpoint, self.checkpoint_line = (value, name), self.count

    def check_accounts(self, checkpoint):
        leaves = []
        for account, head in self.heads.items():
            leaf = {"account": account, **head}
            leaves.append(encode_cbor(GRAMMAR.write(("rule", "account-head"), leaf)))
        self.require(24, (checkpoint["accounts"], checkpoint["accountsRoot"]) == (len(leaves), tree_hash(leaves)))

    def read_statement(self, line, members):
        names = ("body", "sellerSignature", "buyerSignature")
        body, seller_signature, buyer_signature = (from_base64url(members.get(name)) for name in names)
        value = self.decode("statement", body)
        shown = {name: base64url(of) for name, of in zip(names, (body, seller_signature, buyer_signature))}
        reading = line_reading(value, ("rule", "statement"))
        self.check_line(line, {"kind": "statement", "id": cid(sha256(body)), **shown, "reading": reading})
        self.check_signature("statement", value["seller"], body, seller_signature)
        self.check_signature("statement", value["buyer"], body, buyer_signature)
        self.require(7, self.header["key"] in (value["buyer"], value["seller"]))
        self.require(8, all(value[name] == self.header[name] for name in ("network", "asset")))
        self.post(GRAMMAR.read("statement", value), body)
        self.papers = {}

    def post(self, statement, body):
        account = {name: statement[name] for name in ("network", "asset", "buyer", "seller")}
        name = account_id(account).hex()
        self.require(9, self.account is None or name >= self.account)
        self.account = name
        head = self.heads.get(name, {"sequence": 0, "owed": "0", "paid": "0"})
        try:
            check_chain(account, head, body)
        except Refused:
            self.require(10, False)
        for item in statement["items"]:
            if item["kind"] == "call":
                self.check_call(account, item)
                self.settled.add(item["order"])
            else:
                self.check_settlement(account, item)
        self.heads[name] = {name: statement[name] for name in ("sequence", "owed", "paid")} | {"head": sha256(body).hex()}

    def check_settlement(self, account, item):
        names = {(account_id(account), *name) for name in names_of(item)}
        self.require(11, not names & self.settled)
        self.settled |= names
        if item["kind"] == "netting":
            opposite = {**account, "buyer": account["seller"], "seller": account["buyer"]}
            known = self.nettings.setdefault(item["netting"], (account, item["amount"]))
            self.require(11, known[0] == account or known == (opposite, item["amount"]))

    def paper(self, kind, name):
        found, reading = self.papers.get(name, (None, None))
        return reading if found == kind else None

    def check_call(self, account, item):
        self.require(11, item["order"] not in self.settled)
        order = self.paper("order", item["order"])
        self.require(12, order)
        voucher = self.paper("voucher", item["voucher"])
        self.require(13, voucher)
        receipt = self.paper("receipt", item.get("receipt"))
        self.require(14, receipt or "receipt" not in item)
        papers = [paper for paper in (order, voucher, receipt) if paper]
        self.require(15, all(paper[name] == account[name] for paper in papers for name in ("network", "buyer", "seller")))
        self.require(15, order["asset"] == account["asset"])
        self.require(16, all(paper["order"] == item["order"] for paper in papers[1:]))
        try:
            check_item(order, item, voucher, receipt)
        except Refused:
            self.require(17, False)

    def read_journal(self, line, members):
        body = from_base64url(members.get("body"))
        value = self.decode("journal-entry", body)
        reading = line_reading(value, ("rule", "journal-entry"))
        self.check_line(line, {"kind": "journal", "body": base64url(body), "reading": reading})
        self.require(18, value["sequence"] == self.entries + 1)
        self.require(19, value.get("previous") == self.journal_head)
        self.peaks = grown(self.peaks, self.entries, body)
        self.entries, self.journal_head, self.has_journal = self.entries + 1, sha256(body), True


def of_export(case):
    file = ExportFile()
    for line in case["lines"]:
        file.add(line)
    file.end()
    return {}


# ledger/v1.md, "Proof file"


def of_proof(case):
    def require(step, holds):
        if not holds:
            raise Refused(f"proof {step}", "export_invalid")

    try:
        members = json.loads(case["line"])
    except ValueError:
        members = None
    require(1, isinstance(members, dict))
    rule = {"account": "account-head", "entry": "journal-entry"}.get(members.get("of"))
    require(2, rule)
    signed = members["checkpoint"]
    body, signature, leaf = (from_base64url(of) for of in (signed["body"], signed["signature"], members["body"]))
    try:
        checkpoint, shown = read_body("checkpoint", body)[0], read_body(rule, leaf)[0]
    except Refused:
        require(2, False)
    index, path = members["index"], members["path"]
    written = {
        "kind": "proof",
        "format": "tok/proof/1",
        "of": members["of"],
        "checkpoint": {
            "id": cid(sha256(body)),
            "body": base64url(body),
            "signature": base64url(signature),
            "reading": line_reading(checkpoint, ("rule", "checkpoint")),
        },
        "body": base64url(leaf),
        "index": index,
        "path": path,
        "reading": line_reading(shown, ("rule", rule)),
    }
    require(3, json.dumps(written, ensure_ascii=False, separators=(",", ":")) == case["line"])
    try:
        check_signature("checkpoint", checkpoint["node"], body, signature)
    except Refused:
        require(4, False)
    names = ("accounts", "accountsRoot") if rule == "account-head" else ("entries", "entriesRoot")
    count, root = (checkpoint[name] for name in names)
    require(5, index < count and (rule == "account-head" or shown["sequence"] == index + 1))
    require(5, root_by_path(leaf, index, count, [bytes.fromhex(step) for step in path]) == root)
    return {}


def root_by_path(leaf, index, count, path):
    """The root that a path makes, walking down the tree by its definition; None if it has another length."""
    if count == 1:
        return None if path else sha256(b"\x00" + leaf)
    if not path:
        return None
    half = 1 << (count - 1).bit_length() - 1
    if index < half:
        below = root_by_path(leaf, index, half, path[:-1])
        return below and merkle_node(below, path[-1])
    below = root_by_path(leaf, index - half, count - half, path[:-1])
    return below and merkle_node(path[-1], below)


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
    "estimate": lambda case: {"inputTokens": estimate(bytes.fromhex(case["body"]))},
    "running-count": running_counts,
    "billed": lambda case: billed(case["order"], case["seen"]),
    "part": lambda case: read_part(bytes.fromhex(case["payload"])),
    "account-id": lambda case: {"id": account_id(case["account"]).hex()},
    "statement": lambda case: open_statement(bytes.fromhex(case["dualSigned"])),
    "chain": of_chain,
    "item": of_item,
    "merkle": of_merkle,
    "proof": of_proof,
    "export": of_export,
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
