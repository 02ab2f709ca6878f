"""Generated from schemas/ by `make types`: the types of hookswitch's events, without code."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

DataClassification: TypeAlias = Literal['internal', 'confidential']
"""
The protection that an event needs. `internal`: The event names no person: it holds ids at most. `confidential`: The event may hold personal data.
"""


class Attributes(TypedDict):
    """
    What all events have in common.
    """

    specversion: Literal['1.0']
    """
    The version of CloudEvents.
    """
    id: str
    """
    The event's id. The same webhook always gives the same ids.
    """
    source: str
    """
    `/hookswitch/<provider>/<source>`.
    """
    subject: str
    """
    The object that the event is about, as in `call/<id>`, percent-encoded.
    """
    time: str
    """
    The time of the event at the provider, or of the receipt.
    """
    timesource: NotRequired[Literal['received']]
    """
    Present if `time` is the time of the receipt.
    """
    datacontenttype: Literal['application/json']
    """
    The media type of `data`.
    """
    dataschema: str
    """
    The id of the schema of `data`.
    """
    provider: str
    """
    The provider's name.
    """
    providerevent: str
    """
    The provider's own name for the event.
    """
    deliveryid: str
    """
    The id of the webhook that the event comes from.
    """
    idempotencykey: str
    """
    The identity of the fact within its source.
    """
    test: bool
    """
    True if the provider marks the event as a test.
    """
    tenant: NotRequired[str]
    """
    The tenant, where one source serves several.
    """
    connector: NotRequired[str]
    """
    The system behind a unified API, where a source serves several.
    """
    correlationid: NotRequired[str]
    """
    Equal for all events about the same call, conversation or record.
    """
    partitionkey: NotRequired[str]
    """
    A hash of `correlationid`: 8 hexadecimal digits.
    """
    sequence: str
    """
    As text, sorts events with the same `correlationid` by the provider's times.
    """
    late: NotRequired[bool]
    """
    True if an event with the same `correlationid` and a higher `sequence` was published before.
    """
    recordedtime: str
    """
    The time at which the webhook was received.
    """
    dataclassification: DataClassification
    """
    The protection that the event needs.
    """
    redaction: NotRequired[str]
    """
    Present in a copy without personal data: what became of which.
    """
    traceparent: NotRequired[str]
    """
    The trace that the webhook belongs to (W3C Trace Context).
    """
    tracestate: NotRequired[str]
    """
    The state of that trace.
    """


CallStatus: TypeAlias = Literal['scheduled', 'initiated', 'ringing', 'in_progress', 'ended']
"""
The state of a call. `scheduled`: Planned for later. `initiated`: Set up. `ringing`: Ringing. `in_progress`: Answered and not yet over. `ended`: Over.
"""


Direction: TypeAlias = Literal['inbound', 'outbound']
"""
The direction of a call, a message or an engagement. `inbound`: To the provider's customer. `outbound`: From the provider's customer.
"""


EndReason: TypeAlias = Literal['completed', 'busy', 'canceled', 'rejected', 'no_answer', 'missed', 'voicemail', 'abandoned', 'failed']
"""
The reason why a call ended. `completed`: Answered, and ended by one of the two sides. `busy`: The callee was busy. `canceled`: The caller hung up before the answer. `rejected`: The callee or a block list refused the call. `no_answer`: The callee did not answer. `missed`: The provider's customer missed an inbound call. `voicemail`: A voicemail answered. `abandoned`: The caller gave up while waiting. `failed`: A technical failure.
"""


class Money(TypedDict):
    """
    An amount of money.
    """

    amount: str
    """
    The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
    """
    currency: NotRequired[str]
    """
    The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
    """
    minor_units: NotRequired[int]
    """
    The same amount as an integer in minor units, such as cents, where the provider sends those.
    """


ObjectKind: TypeAlias = Literal['contact', 'company', 'user', 'workspace', 'opportunity', 'pipeline', 'stage', 'engagement', 'invoice', 'invoice_item', 'invoice_line_item', 'event_type', 'slot', 'event', 'call', 'transcript']
"""
The kind of object that a reference leads to. `contact`: A person at the other side. `company`: A company. `user`: A person at the provider's customer. `workspace`: A workspace. `opportunity`: An opportunity. `pipeline`: A pipeline of opportunities. `stage`: A stage of a pipeline. `engagement`: An engagement. `invoice`: An invoice. `invoice_item`: An item that can be billed. `invoice_line_item`: A line of an invoice. `event_type`: A type of event that can be booked. `slot`: A slot in which an event can be booked. `event`: A booked event. `call`: A call. `transcript`: The transcript of a call.
"""


OutcomeKind: TypeAlias = Literal['booked', 'quoted', 'follow_up', 'not_interested', 'no_answer', 'spam', 'wrong_number', 'other']
"""
The outcome of a call. `booked`: The customer made an appointment or another commitment. `quoted`: The customer got a quote. `follow_up`: Another contact is needed. `not_interested`: The customer wants nothing. `no_answer`: The call was not answered. `spam`: An unwanted call. `wrong_number`: The caller wanted another number. `other`: Another outcome.
"""


class Party(TypedDict):
    """
    One end of a call or a message.
    """

    raw: NotRequired[str]
    """
    The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
    """
    e164: NotRequired[str]
    """
    The number in E.164 with `+`, where it is certain.
    """
    name: NotRequired[str]
    """
    The name that the provider has for the address.
    """


class Phone(TypedDict):
    """
    A phone number of a person.
    """

    raw: str
    """
    The number as the provider wrote it.
    """
    e164: NotRequired[str]
    """
    The number in E.164 with `+`, where it is certain.
    """


class Recording(TypedDict):
    """
    A recording of a call.
    """

    id: NotRequired[str]
    """
    The recording's id at the provider, an opaque string.
    """
    url: NotRequired[str]
    """
    The address of the recording, a URL that may need the provider's credentials.
    """
    started_at: NotRequired[str]
    """
    The time at which the recording starts, RFC 3339 in UTC.
    """
    duration_seconds: NotRequired[float]
    """
    The length of the recording in seconds.
    """


class Reference(TypedDict):
    """
    A reference to an object at the provider.
    """

    id: str
    """
    The object's id at the provider, an opaque string.
    """
    kind: NotRequired[ObjectKind]
    """
    The kind of object, absent where the provider sends none or an unknown word.
    """
    kind_raw: NotRequired[str]
    """
    The kind of object in the provider's own word.
    """


Role: TypeAlias = Literal['agent', 'customer', 'ai', 'owner', 'organizer']
"""
The part that a person has in a call, a message, a conversation or a record. `agent`: A human at the provider's customer. `customer`: A person at the other side. `ai`: A machine that speaks or writes for the provider's customer. `owner`: The user who is responsible for a record. `organizer`: The user who organizes an event.
"""


Side: TypeAlias = Literal['from', 'to']
"""
An end of a call or a message. `from`: The caller or sender. `to`: The callee or recipient.
"""


Speaker: TypeAlias = Literal['agent', 'customer', 'ai']
"""
The role of a speaker. `agent`: A human at the provider's customer. `customer`: The other side. `ai`: A machine that speaks for the provider's customer.
"""


class Link(TypedDict):
    """
    A reference and its role.
    """

    role: str
    """
    The part that the object has for the record: `stage`, `companies`, …
    """
    id: str
    """
    The object's id at the provider, an opaque string.
    """
    kind: NotRequired[ObjectKind]
    """
    The kind of object, absent where the provider sends none or an unknown word.
    """
    kind_raw: NotRequired[str]
    """
    The kind of object in the provider's own word.
    """


RecordKind: TypeAlias = Literal['call', 'meeting', 'email', 'task', 'note', 'open', 'won', 'lost']
"""
The kind of an engagement or a stage. `call`: A call. `meeting`: A meeting. `email`: An e-mail. `task`: A task. `note`: A note. `open`: A stage in which an opportunity is open. `won`: A stage in which an opportunity is won. `lost`: A stage in which an opportunity is lost.
"""


RecordStatus: TypeAlias = Literal['planned', 'in_progress', 'completed', 'canceled']
"""
The state of an engagement. `planned`: Planned. `in_progress`: Going on. `completed`: Done. `canceled`: Canceled.
"""


class ContactData(TypedDict):
    """
    The data of `contact.*`.
    """

    contact_id: NotRequired[str]
    """
    The contact's id at the provider, an opaque string.
    """
    name: NotRequired[str]
    """
    The full name, where the provider sends it as one.
    """
    first_name: NotRequired[str]
    """
    The first name, where the provider sends it by itself.
    """
    last_name: NotRequired[str]
    """
    The last name, where the provider sends it by itself.
    """
    company: NotRequired[str]
    """
    The name of the contact's company.
    """
    emails: NotRequired[list[str]]
    """
    E-mail addresses; empty if the provider says that there are none.
    """
    phones: NotRequired[list[Phone]]
    """
    Phone numbers; empty if the provider says that there are none.
    """
    created_at: NotRequired[str]
    """
    The time at which the contact was created at the provider, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the contact's last change at the provider, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class ContactEvent(Attributes):
    """
    Events with ContactData.
    """

    type: Literal['contact.created', 'contact.deleted', 'contact.updated']
    data: ContactData


Channel: TypeAlias = Literal['phone', 'sms', 'webchat', 'email', 'whatsapp']
"""
The way by which people exchange messages. `phone`: A phone number, by calls or text messages. `sms`: Text messages. `webchat`: A chat on a web site. `email`: E-mail. `whatsapp`: WhatsApp.
"""


ConversationStatus: TypeAlias = Literal['open', 'pending', 'resolved', 'closed']
"""
The state of a conversation. `open`: In work. `pending`: Waiting. `resolved`: Done, and may open again. `closed`: Closed.
"""


Priority: TypeAlias = Literal['low', 'normal', 'high', 'urgent']
"""
The priority of a conversation.
"""


InvoiceStatus: TypeAlias = Literal['draft', 'pending', 'overdue', 'paid', 'void']
"""
The state of an invoice.
"""


MessageKind: TypeAlias = Literal['sms', 'mms', 'whatsapp', 'text']
"""
The kind of a message. `sms`: A text message of the phone network. `mms`: A multimedia message of the phone network. `whatsapp`: A WhatsApp message. `text`: A text in another channel.
"""


MessageStatus: TypeAlias = Literal['accepted', 'pending', 'sent', 'delivered', 'undelivered', 'expired', 'rejected']
"""
The state of a message's delivery. `accepted`: Taken by the provider. `pending`: Not sent yet. `sent`: Sent, and not known to have arrived. `delivered`: Arrived. `undelivered`: Could not be delivered. `expired`: Not delivered in time, or no report of it came in time. `rejected`: Refused by the provider or a carrier.
"""


class PlainData(TypedDict):
    """
    The data of `source.ping` and `provider.unmapped`.
    """

    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class PlainEvent(Attributes):
    """
    Events with PlainData.
    """

    type: Literal['provider.unmapped', 'source.ping']
    data: PlainData


class CallOutcome(TypedDict):
    """
    The outcome of a call, as an agent tagged it.
    """

    id: NotRequired[str]
    """
    The id of the tag.
    """
    kind: NotRequired[OutcomeKind]
    """
    The outcome, absent where the provider sends an unknown word.
    """
    kind_raw: NotRequired[str]
    """
    The outcome in the provider's own word.
    """
    notes: NotRequired[str]
    """
    The agent's notes, a free text.
    """


class CallValue(TypedDict):
    """
    The value of a call for the provider's customer.
    """

    estimated: NotRequired[Money]
    """
    The estimated value.
    """
    actual: NotRequired[Money]
    """
    The actual value.
    """
    revenue: NotRequired[Money]
    """
    The revenue.
    """


class Cost(TypedDict):
    """
    The cost of a call or a message.
    """

    total: NotRequired[Money]
    """
    The total cost.
    """
    per_minute: NotRequired[Money]
    """
    The cost per minute.
    """


class Participant(TypedDict):
    """
    A person in a call, a transcript, a message, a conversation or a record.
    """

    role: NotRequired[Role]
    """
    The person's part, absent where the provider does not say it.
    """
    role_raw: NotRequired[str]
    """
    The person's part in the provider's own word.
    """
    party: NotRequired[Side]
    """
    The end of the call or message at which the person is, where it is known.
    """
    speaker_id: NotRequired[str]
    """
    The person's id among the speakers of this transcript, to which `transcript[].speaker_id` refers.
    """
    reference: NotRequired[Reference]
    """
    The person's record at the provider.
    """
    name: NotRequired[str]
    """
    The full name.
    """
    emails: NotRequired[list[str]]
    """
    E-mail addresses.
    """
    phones: NotRequired[list[Phone]]
    """
    Phone numbers.
    """


Transfer = TypedDict(
    'Transfer',
    {
        'from': NotRequired[Participant],
        'to': NotRequired[Participant],
        'original_call_id': NotRequired[str],
    },
)


CallData = TypedDict(
    'CallData',
    {
        'call_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'direction_raw': NotRequired[str],
        'status': NotRequired[CallStatus],
        'status_raw': NotRequired[str],
        'end_reason': NotRequired[EndReason],
        'end_reason_raw': NotRequired[str],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'scheduled_at': NotRequired[str],
        'started_at': NotRequired[str],
        'answered_at': NotRequired[str],
        'ended_at': NotRequired[str],
        'duration_seconds': NotRequired[float],
        'talk_seconds': NotRequired[float],
        'billed_seconds': NotRequired[float],
        'recordings': NotRequired[list[Recording]],
        'tag': NotRequired[str],
        'machine_detected': NotRequired[bool],
        'participants': NotRequired[list[Participant]],
        'transfer': NotRequired[Transfer],
        'summary': NotRequired[str],
        'short_summary': NotRequired[str],
        'transcript_ref': NotRequired[Reference],
        'outcome': NotRequired[CallOutcome],
        'attribution': NotRequired[Any],
        'value': NotRequired[CallValue],
        'cost': NotRequired[Cost],
        'error': NotRequired[str],
        'media': NotRequired[Any],
        'digits': NotRequired[str],
        'snapshot': NotRequired[bool],
        'derived': NotRequired[list[str]],
        'unmapped': NotRequired[dict[str, Any]],
    },
)


class CallEvent(Attributes):
    """
    Events with CallData.
    """

    type: Literal['call.answered', 'call.cost_reported', 'call.deleted', 'call.early_media', 'call.ended', 'call.error', 'call.initiated', 'call.input', 'call.media', 'call.outcome_tagged', 'call.recording.available', 'call.ringing', 'call.scheduled', 'call.tagged', 'call.transferred', 'call.untagged', 'call.updated']
    data: CallData


class Segment(TypedDict):
    """
    One utterance.
    """

    sequence: NotRequired[int]
    """
    The utterance's position in the provider's list, from 0. Absent in a partial transcript.
    """
    speaker: NotRequired[Speaker]
    """
    The role of the speaker, absent where the provider does not say it.
    """
    speaker_raw: NotRequired[str]
    """
    The speaker in the provider's own word.
    """
    speaker_id: NotRequired[str]
    """
    The speaker's id, where speakers have ids: see `participants[].speaker_id`.
    """
    text: str
    """
    The spoken text.
    """
    at: NotRequired[str]
    """
    The time of the utterance's start, RFC 3339 in UTC, where it is certain.
    """
    offset_ms: NotRequired[int]
    """
    The utterance's start in whole milliseconds since the start of the call, where it is certain.
    """
    at_raw: NotRequired[str]
    """
    The utterance's start in the provider's own text.
    """
    until: NotRequired[str]
    """
    The time of the utterance's end, RFC 3339 in UTC, where it is certain.
    """
    until_offset_ms: NotRequired[int]
    """
    The utterance's end in whole milliseconds since the start of the call, where it is certain.
    """
    until_raw: NotRequired[str]
    """
    The utterance's end in the provider's own text.
    """


TranscriptData = TypedDict(
    'TranscriptData',
    {
        'transcript_id': NotRequired[str],
        'call_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'direction_raw': NotRequired[str],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'transcript': NotRequired[list[Segment]],
        'full_text': NotRequired[str],
        'participants': NotRequired[list[Participant]],
        'transcript_seconds': NotRequired[float],
        'error': NotRequired[str],
        'unmapped': NotRequired[dict[str, Any]],
    },
)


class TranscriptEvent(Attributes):
    """
    Events with TranscriptData.
    """

    type: Literal['call.transcript.completed', 'call.transcript.deleted', 'call.transcript.failed', 'call.transcript.partial', 'call.transcript.updated']
    data: TranscriptData


class RecordData(TypedDict):
    """
    The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
    """

    record_id: NotRequired[str]
    """
    The record's id at the provider, an opaque string.
    """
    name: NotRequired[str]
    """
    The name or title.
    """
    first_name: NotRequired[str]
    """
    A user's first name.
    """
    last_name: NotRequired[str]
    """
    A user's last name.
    """
    emails: NotRequired[list[str]]
    """
    A user's e-mail addresses.
    """
    kind: NotRequired[RecordKind]
    """
    The kind of an engagement or a stage.
    """
    kind_raw: NotRequired[str]
    """
    The kind in the provider's own word.
    """
    direction: NotRequired[Direction]
    """
    The direction of an engagement, seen from the provider's customer.
    """
    direction_raw: NotRequired[str]
    """
    The direction in the provider's word, only where that is unknown.
    """
    status: NotRequired[RecordStatus]
    """
    The state of an engagement.
    """
    status_raw: NotRequired[str]
    """
    The state in the provider's own word.
    """
    description: NotRequired[str]
    """
    A free-text description.
    """
    amount: NotRequired[Money]
    """
    An opportunity's amount.
    """
    started_at: NotRequired[str]
    """
    The time at which an engagement starts, RFC 3339 in UTC.
    """
    ended_at: NotRequired[str]
    """
    The time at which an engagement ends, RFC 3339 in UTC.
    """
    duration_seconds: NotRequired[float]
    """
    The length of an engagement in seconds.
    """
    participants: NotRequired[list[Participant]]
    """
    The people of the record.
    """
    links: NotRequired[list[Link]]
    """
    Related objects that are no people, by role: `stage`, `pipeline`, `companies`, …
    """
    created_at: NotRequired[str]
    """
    The time at which the record was created at the provider, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the record's last change at the provider, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class RecordEvent(Attributes):
    """
    Events with RecordData.
    """

    type: Literal['company.created', 'company.deleted', 'company.updated', 'engagement.created', 'engagement.deleted', 'engagement.updated', 'opportunity.created', 'opportunity.deleted', 'opportunity.updated', 'pipeline.created', 'pipeline.deleted', 'pipeline.updated', 'stage.created', 'stage.deleted', 'stage.updated', 'user.created', 'user.deleted', 'user.updated', 'workspace.created', 'workspace.deleted', 'workspace.updated']
    data: RecordData


class ConversationData(TypedDict):
    """
    The data of `conversation.*`.
    """

    conversation_id: NotRequired[str]
    """
    The conversation's id at the provider, an opaque string.
    """
    status: NotRequired[ConversationStatus]
    """
    The state of the conversation.
    """
    status_raw: NotRequired[str]
    """
    The state of the conversation in the provider's own word.
    """
    priority: NotRequired[Priority]
    """
    The priority.
    """
    priority_raw: NotRequired[str]
    """
    The priority in the provider's own word.
    """
    channel_id: NotRequired[str]
    """
    The channel's id at the provider, an opaque string.
    """
    channel: NotRequired[Channel]
    """
    The channel.
    """
    channel_raw: NotRequired[str]
    """
    The channel in the provider's own word.
    """
    participants: NotRequired[list[Participant]]
    """
    The people in the conversation.
    """
    attribution: NotRequired[Any]
    """
    The marketing attribution of the contact, as the provider wrote it.
    """
    created_at: NotRequired[str]
    """
    The time at which the conversation began, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the conversation's last change, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class ConversationEvent(Attributes):
    """
    Events with ConversationData.
    """

    type: Literal['conversation.closed', 'conversation.created', 'conversation.resolved']
    data: ConversationData


class InvoiceData(TypedDict):
    """
    The data of `invoice.*`: invoices, the items that can be billed, and the lines of an invoice.
    """

    record_id: NotRequired[str]
    """
    The record's id at the provider, an opaque string.
    """
    code: NotRequired[str]
    """
    The number of an invoice, or the code of an item, as people know it.
    """
    name: NotRequired[str]
    """
    The name of an item.
    """
    status: NotRequired[InvoiceStatus]
    """
    The state of an invoice.
    """
    status_raw: NotRequired[str]
    """
    The state in the provider's own word.
    """
    description: NotRequired[str]
    """
    A free-text description or note.
    """
    total: NotRequired[Money]
    """
    The total amount.
    """
    pre_tax: NotRequired[Money]
    """
    The amount before tax.
    """
    tax: NotRequired[Money]
    """
    The tax.
    """
    tax_included: NotRequired[bool]
    """
    True if the amounts include tax.
    """
    balance: NotRequired[Money]
    """
    The amount that is not paid yet.
    """
    unit_price: NotRequired[Money]
    """
    The price of one unit, before tax.
    """
    quantity: NotRequired[str]
    """
    The number of units: a decimal as a string.
    """
    issued_at: NotRequired[str]
    """
    The time of issue, RFC 3339 in UTC.
    """
    due_at: NotRequired[str]
    """
    The time by which it must be paid, RFC 3339 in UTC.
    """
    paid_at: NotRequired[str]
    """
    The time of payment, RFC 3339 in UTC.
    """
    participants: NotRequired[list[Participant]]
    """
    The people who get the invoice.
    """
    links: NotRequired[list[Link]]
    """
    Related objects that are no people, by role: `company`, `invoice`, `item`, `line_items`.
    """
    created_at: NotRequired[str]
    """
    The time at which the record was created at the provider, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the record's last change at the provider, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class InvoiceEvent(Attributes):
    """
    Events with InvoiceData.
    """

    type: Literal['invoice.created', 'invoice.deleted', 'invoice.item.created', 'invoice.item.deleted', 'invoice.item.updated', 'invoice.line_item.created', 'invoice.line_item.deleted', 'invoice.line_item.updated', 'invoice.updated']
    data: InvoiceData


MessageData = TypedDict(
    'MessageData',
    {
        'message_id': NotRequired[str],
        'conversation_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'direction_raw': NotRequired[str],
        'kind': NotRequired[MessageKind],
        'kind_raw': NotRequired[str],
        'channel': NotRequired[Channel],
        'channel_raw': NotRequired[str],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'content': NotRequired[str],
        'media': NotRequired[Any],
        'status': NotRequired[MessageStatus],
        'status_raw': NotRequired[str],
        'sent_at': NotRequired[str],
        'received_at': NotRequired[str],
        'delivered_at': NotRequired[str],
        'cost': NotRequired[Cost],
        'tag': NotRequired[str],
        'error': NotRequired[str],
        'participants': NotRequired[list[Participant]],
        'attribution': NotRequired[Any],
        'unmapped': NotRequired[dict[str, Any]],
    },
)


class MessageEvent(Attributes):
    """
    Events with MessageData.
    """

    type: Literal['message.delivery_reported', 'message.received', 'message.sent']
    data: MessageData


class SchedulingData(TypedDict):
    """
    The data of `scheduling.*`.
    """

    scheduling_id: NotRequired[str]
    """
    The object's id at the provider, an opaque string.
    """
    name: NotRequired[str]
    """
    The name or title.
    """
    status_raw: NotRequired[str]
    """
    The state in the provider's own word, of which no list is known.
    """
    description: NotRequired[str]
    """
    A free-text description.
    """
    starts_at: NotRequired[str]
    """
    The time of the start, RFC 3339 in UTC.
    """
    ends_at: NotRequired[str]
    """
    The time of the end, RFC 3339 in UTC.
    """
    date: NotRequired[str]
    """
    The day of a slot, as the provider wrote it.
    """
    timezone: NotRequired[str]
    """
    The time zone of a slot, as the provider wrote it.
    """
    duration_minutes: NotRequired[float]
    """
    The length of an event in minutes.
    """
    durations: NotRequired[Any]
    """
    The lengths in minutes that an event type offers, as the provider wrote them.
    """
    questions: NotRequired[Any]
    """
    The questions of an event type, as the provider wrote them.
    """
    answers: NotRequired[Any]
    """
    The answers of a booked event, as the provider wrote them.
    """
    scheduling_url: NotRequired[str]
    """
    The address of the booking page, a URL.
    """
    participants: NotRequired[list[Participant]]
    """
    The people of the object.
    """
    links: NotRequired[list[Link]]
    """
    Related objects that are no people, by role: `event_type`, `slots`.
    """
    created_at: NotRequired[str]
    """
    The time at which the object was created at the provider, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the object's last change at the provider, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class SchedulingEvent(Attributes):
    """
    Events with SchedulingData.
    """

    type: Literal['scheduling.event.created', 'scheduling.event.deleted', 'scheduling.event.updated', 'scheduling.event_type.created', 'scheduling.event_type.deleted', 'scheduling.event_type.updated', 'scheduling.slot.created', 'scheduling.slot.deleted', 'scheduling.slot.updated']
    data: SchedulingData


class WidgetData(TypedDict):
    """
    The data of `widget.card_view.*`.
    """

    widget_id: NotRequired[str]
    """
    The card view's id at the provider, an opaque string.
    """
    triggered_by: NotRequired[Reference]
    """
    The user who opened the card.
    """
    participants: NotRequired[list[Participant]]
    """
    The people on the card.
    """
    links: NotRequired[list[Link]]
    """
    The objects on the card that are no people, by role: `company`, `opportunity`, `call`, …
    """
    created_at: NotRequired[str]
    """
    The time at which the view was created at the provider, RFC 3339 in UTC.
    """
    updated_at: NotRequired[str]
    """
    The time of the view's last change at the provider, RFC 3339 in UTC.
    """
    unmapped: NotRequired[dict[str, Any]]
    """
    Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
    """


class WidgetEvent(Attributes):
    """
    Events with WidgetData.
    """

    type: Literal['widget.card_view.created', 'widget.card_view.deleted', 'widget.card_view.updated']
    data: WidgetData


HookswitchEvent: TypeAlias = CallEvent | TranscriptEvent | RecordEvent | ContactEvent | ConversationEvent | InvoiceEvent | MessageEvent | PlainEvent | SchedulingEvent | WidgetEvent
"""
Any event. Its `type` tells which data it has.
"""
