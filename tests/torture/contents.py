"""What a message of the shop says, read from its bytes by the numbers of its fields (https://protobuf.dev/programming-guides/encoding)."""


def fields(data):
    """{number: [value, ...]}: integers, and bytes for what has a length."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 == 2:
            length = varint()
            value = data[at:at + length]
            at += length
        else:
            raise ValueError(f"field {tag >> 3} has the wire type {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def text(message, number):
    return message.get(number, [b""])[-1].decode()


def amount(data):
    return fields(data).get(1, [0])[-1]


def event(topic, data):
    """Of the topics that the checker looks into; of others None."""
    message = fields(data)
    if topic == "order.paid":
        items = [fields(item) for item in message.get(3, [])]
        return {"order_id": text(message, 1), "customer_id": text(message, 2),
                "items": [[text(item, 1), item.get(2, [0])[-1]] for item in items],
                "total_minor": amount(message.get(4, [b""])[-1])}
    if topic in ("order.completed", "order.cancelled"):
        return {"order_id": text(message, 1), "customer_id": text(message, 2)}
    if topic in ("payment.captured", "payment.refunded"):
        return {"order_id": text(message, 1), "total_minor": amount(message.get(2, [b""])[-1])}
    return None
