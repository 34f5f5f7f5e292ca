# SPDX-License-Identifier: MIT
"""What puts messages into mailboxes of the fake server: APPEND, COPY and MOVE, for fakesession.py."""
import re

from fakeaccount import Message, SyntaxFault, format_set

# What COPYUID (of the source UIDs and the new ones) and APPENDUID (of the new one) are told as, by
# Behaviour.copy_uid and append_uid.
COPY_CODES = {
    "right": lambda old, new: b"%s %s" % (format_set(old), format_set(new)),
    "empty": lambda old, new: b"",
    "nil": lambda old, new: b"NIL NIL",
    "star": lambda old, new: b"1:* 1:*",
    "fewer": lambda old, new: b"%s %d" % (format_set(old + [max(old) + 1]), new[0]),
    "older": lambda old, new: b"%s 1:%d" % (format_set(old), len(old)),
    "ahead": lambda old, new: b"%s %s" % (format_set(old), format_set([uid + len(new) for uid in new])),
    "some": lambda old, new: b"%d %d" % (old[0], new[0]),
}


def literal_refusal(session, line, count):
    """The tagged line in place of "+" for the literal that ends the line of a command, or None."""
    limit = session.behaviour.append_limit
    if limit is None or count <= limit or not re.match(rb"\S+ APPEND ", line, re.I):
        return None
    return line.partition(b" ")[0] + b" NO [TOOBIG] at most %d octets\r\n" % limit


def refusal(session, name, size):
    """Why nothing of that size can be put into the mailbox of that name, a tagged line; or None."""
    behaviour, account = session.behaviour, session.server.account
    mailbox = account.find(name)
    if not mailbox or not mailbox.selectable:
        return b"NO [TRYCREATE] no such mailbox"
    if "i" not in mailbox.rights:
        return b"NO [NOPERM] permission denied"
    if mailbox.read_only:
        return b"NO [READ-ONLY] not here"
    if behaviour.examined_is_closed and session.mailbox is mailbox and session.read_only:
        return b"NO Current box is selected READ-ONLY."
    used = sum(len(m.body) for box in account.mailboxes.values() for m in box.messages)
    if behaviour.quota is not None and used + size > behaviour.quota:
        return b"NO [OVERQUOTA] quota exceeded"
    return None


def tell_others(session):
    for other in list(session.server.sessions):
        if other is not session:
            other.post(type(other).idle_news)


def append(session, arguments):
    behaviour = session.behaviour
    name, *options, body = arguments
    flags = next((o for o in options if isinstance(o, list)), [])
    dates = [o for o in options if not isinstance(o, list)]
    if len(dates) > 1:
        raise SyntaxFault("arguments")
    refused = refusal(session, name, len(body))
    if behaviour.append_limit is not None and len(body) > behaviour.append_limit:
        refused = b"NO [TOOBIG] at most %d octets" % behaviour.append_limit
    if refused:
        return refused
    mailbox = session.server.account.find(name)
    body = bytes(body)
    if behaviour.append_change:
        body = behaviour.append_change(body)
    message = Message(body, flags=flags, **({"date": bytes(dates[0])} if dates else {}))
    mailbox.add(message)
    tell_others(session)
    manner = behaviour.append_uid
    if "UIDPLUS" not in behaviour.capabilities or "UIDPLUS" in behaviour.hide or manner == "missing":
        return b"OK stored"
    uidvalidity = session.uidvalidity(name, mailbox) + (manner == "other")
    uid = {"nil": b"NIL", "older": b"1", "ahead": b"%d" % (message.uid + 1)}.get(manner, b"%d" % message.uid)
    return b"OK [APPENDUID %d %s] stored" % (uidvalidity, uid)


def put_copies(session, arguments):
    """(source messages, what is told of them or None, None), or (None, None, why not)."""
    behaviour = session.behaviour
    chosen = [message for _, message in session.chosen(arguments[0], True)]
    chosen = [m for m in chosen if m in session.mailbox.messages]
    refused = refusal(session, arguments[1], sum(len(m.body) for m in chosen))
    if refused:
        return None, None, refused
    target = session.server.account.find(arguments[1])
    new = [target.add(Message(m.body, flags=m.flags, date=m.date)).uid for m in chosen]
    tell_others(session)
    offers = "UIDPLUS" in behaviour.capabilities and "UIDPLUS" not in behaviour.hide
    if not chosen or not offers or behaviour.copy_uid == "missing":
        return chosen, None, None
    said = COPY_CODES[behaviour.copy_uid]([m.uid for m in chosen], new)
    return chosen, b"[COPYUID %d %s] " % (session.uidvalidity(arguments[1], target), said), None


def uid_copy(session, arguments):
    _, said, refused = put_copies(session, arguments)
    return refused or b"OK " + (said or b"") + b"copied"


def uid_move(session, arguments):
    if "MOVE" not in session.behaviour.capabilities:
        return b"BAD unknown command"
    if session.behaviour.refuse_move:
        return b"NO [CANNOT] not moved"
    if session.read_only:
        return b"NO [READ-ONLY] not here"
    chosen, said, refused = put_copies(session, arguments)
    if refused:
        return refused
    if said:
        session.send(b"* OK " + said + b"moved\r\n")
    session.mailbox.expunge([m.uid for m in chosen])
    session.news()
    tell_others(session)
    return b"OK done"
