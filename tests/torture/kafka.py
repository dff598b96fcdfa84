"""Reads every record of a Kafka broker's topics, by the wire protocol alone: no library, nothing of weir's.

Versions are chosen so that the development broker and Apache Kafka 4 both know them: Metadata 1, ListOffsets 1, Fetch 4
(https://kafka.apache.org/protocol). Records are not compressed: weir's producers do not ask for it."""

import socket
import struct

FETCH, LIST_OFFSETS, METADATA = 1, 2, 3
EARLIEST = -2


class Reader:
    """The bytes of an answer, from the first to the last."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def _unpack(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def int8(self):
        return self._unpack("b")

    def int16(self):
        return self._unpack("h")

    def int32(self):
        return self._unpack("i")

    def int64(self):
        return self._unpack("q")

    def bytes(self, length):
        value = self.data[self.at:self.at + max(length, 0)]
        self.at += max(length, 0)
        return value

    def string(self):
        return self.bytes(self.int16()).decode()

    def array(self, element):
        return [element() for _ in range(max(self.int32(), 0))]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def left(self):
        return len(self.data) - self.at


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def _array(elements):
    return struct.pack(">i", len(elements)) + b"".join(elements)


class Connection:
    def __init__(self, host, port, timeout=5):
        self.socket = socket.create_connection((host, port), timeout)
        self.number = 0

    def close(self):
        self.socket.close()

    def ask(self, api, version, body):
        self.number += 1
        request = struct.pack(">hhi", api, version, self.number) + _string("torture") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        answer = Reader(self._read(struct.unpack(">i", self._read(4))[0]))
        if answer.int32() != self.number:
            raise OSError("the broker answered something else")
        return answer

    def _read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(min(length - len(data), 1 << 20))
            if not more:
                raise EOFError("the broker ended the connection")
            data += more
        return data


def metadata(connection):
    """Topics with the leaders of their partitions, as {topic: {partition: (host, port)}}."""
    answer = connection.ask(METADATA, 1, struct.pack(">i", -1))
    brokers = {number: (host, port) for number, host, port in answer.array(lambda: (
        answer.int32(), answer.string(), answer.int32(), answer.string())[:3])}
    answer.int32()  # controller

    def partition():
        answer.int16()
        number, leader = answer.int32(), answer.int32()
        answer.array(answer.int32)  # replicas
        answer.array(answer.int32)  # in sync
        return number, brokers.get(leader)

    def topic():
        answer.int16()
        name, _ = answer.string(), answer.int8()
        return name, dict(answer.array(partition))

    return dict(answer.array(topic))


def first_offset(connection, topic, partition):
    body = struct.pack(">i", -1) + _array([_string(topic) + _array([struct.pack(">iq", partition, EARLIEST)])])
    answer = connection.ask(LIST_OFFSETS, 1, body)
    found = answer.array(lambda: (answer.string(), answer.array(lambda: (
        answer.int32(), answer.int16(), answer.int64(), answer.int64()))))
    _, error, _, offset = found[0][1][0]
    if error:
        raise OSError(f"{topic} {partition}: the broker does not say its first offset: error {error}")
    return offset


def fetch(connection, topic, partition, offset):
    """The records from `offset` on that come with one answer, and the offset after them."""
    body = struct.pack(">iiiib", -1, 0, 0, 1 << 22, 0) + _array([
        _string(topic) + _array([struct.pack(">iqi", partition, offset, 1 << 22)])])
    answer = connection.ask(FETCH, 4, body)
    answer.int32()  # throttled

    def one():
        answer.int32()
        error = answer.int16()
        answer.int64(), answer.int64()
        answer.array(lambda: (answer.int64(), answer.int64()))
        return error, answer.bytes(answer.int32())

    found = answer.array(lambda: (answer.string(), answer.array(one)))
    error, data = found[0][1][0]
    if error:
        raise OSError(f"{topic} {partition}: the broker gives no records at {offset}: error {error}")
    records, next_offset = [], offset
    for record in batches(data):
        next_offset = max(next_offset, record["offset"] + 1)
        if record["offset"] >= offset and not record.pop("control"):
            records.append({"topic": topic, "partition": partition, **record})
    return records, next_offset


def batches(data):
    """https://kafka.apache.org/documentation/#recordbatch. The last batch may be cut off."""
    reader = Reader(data)
    while reader.left() >= 61:
        base, length = reader.int64(), reader.int32()
        if reader.left() < length:
            return
        end = reader.at + length
        reader.int32()
        if reader.int8() != 2:
            raise OSError("a record batch is of another version than 2")
        reader.int32()
        attributes = reader.int16()
        reader.int32()
        first_ms, last_ms = reader.int64(), reader.int64()
        reader.int64(), reader.int16(), reader.int32()
        if attributes & 7:
            raise OSError("a record batch is compressed")
        for _ in range(reader.int32()):
            yield record_of(reader, base, last_ms if attributes & 8 else first_ms, attributes)
        reader.at = end


def record_of(reader, base, at_ms, attributes):
    length = reader.varint()
    end = reader.at + length
    reader.int8()
    delta_ms, offset = reader.varint(), base + reader.varint()
    key, value = reader.bytes(reader.varint()), reader.bytes(reader.varint())
    headers = {}
    for _ in range(reader.varint()):
        name = reader.bytes(reader.varint()).decode()
        headers[name] = reader.bytes(reader.varint())
    reader.at = end
    return {"offset": offset, "at_ms": at_ms + (0 if attributes & 8 else delta_ms), "key": key.decode(), "value": value,
            "message_id": headers.get("ce_id", b"").decode(), "headers": headers, "control": bool(attributes & 32)}


class Topics:
    """All records so far; goes on where it stopped. A broker that forgot everything begins a new run."""

    def __init__(self):
        self.records, self.next, self.run = [], {}, 0

    def forget(self):
        """The broker has nothing any more, or is a new one."""
        self.run += 1
        self.next = {}

    def read(self, host, port):
        """What came since. Raises OSError or EOFError when a broker is away; then what was read stays."""
        connections = {}
        try:
            first = connections[(host, port)] = Connection(host, port)
            for topic, partitions in sorted(metadata(first).items()):
                for partition, leader in sorted(partitions.items()):
                    if topic.startswith("__"):
                        continue
                    if leader is None:
                        raise OSError(f"{topic} {partition} has no leader")
                    if leader not in connections:
                        connections[leader] = Connection(*leader)
                    self._read_partition(connections[leader], topic, partition)
        finally:
            for connection in connections.values():
                connection.close()

    def _read_partition(self, connection, topic, partition):
        place = (topic, partition)
        if place not in self.next:
            self.next[place] = first_offset(connection, topic, partition)
        while True:
            records, offset = fetch(connection, topic, partition, self.next[place])
            self.next[place] = offset
            if not records:
                return
            self.records += [{**record, "run": self.run} for record in records]
