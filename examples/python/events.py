"""Generated from schemas/ by `make types`: the types of hookswitch's events, without code."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


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
    traceparent: NotRequired[str]
    """
    The trace that the webhook belongs to, in the format of W3C.
    """
    recordedtime: str
    """
    The time at which the webhook was received.
    """
    sequence: str
    correlationid: NotRequired[str]


class CallOutcome(TypedDict):
    """
    The outcome of a call, as an agent tagged it.
    """

    id: NotRequired[str]
    """
    The tag's id.
    """
    kind: NotRequired[str]
    """
    `booked`, `spam`, …
    """
    notes: NotRequired[str]
    """
    Free text.
    """


CallStatus: TypeAlias = Literal['planned', 'initiated', 'ringing', 'in_progress', 'ended', 'unknown', 'scheduled']
"""
The state of a call. `planned`: Planned for later. `initiated`: Set up. `ringing`: Ringing. `in_progress`: Answered and not yet over. `ended`: Over. `unknown`: Not sent, or sent in an unknown word.
"""


Direction: TypeAlias = Literal['inbound', 'outbound']
"""
The direction of a call or a message. `inbound`: To the provider's customer. `outbound`: From the provider's customer.
"""


EndReason: TypeAlias = Literal['completed', 'busy', 'canceled', 'rejected', 'no_answer', 'missed', 'voicemail', 'abandoned', 'failed', 'unknown']
"""
The reason why a call ended.
"""


class Money(TypedDict):
    """
    An amount of money: a decimal exactly as written, or minor units, with the currency where it is known.
    """

    amount: NotRequired[str]
    """
    The amount in major units: a decimal, as a string.
    """
    minor_units: NotRequired[int]
    """
    The amount in minor units, such as cents.
    """
    currency: NotRequired[str]
    """
    The currency: ISO 4217, or as the provider wrote it.
    """


class Participant(TypedDict):
    """
    A participant of a call or a speaker of a transcript.
    """

    role: NotRequired[str]
    """
    `internal`, `external` or `unknown`, where the provider says so.
    """
    id: NotRequired[str]
    """
    The id at the provider.
    """
    kind: NotRequired[str]
    """
    The type of object that the id belongs to, in the provider's word.
    """
    name: NotRequired[str]
    """
    The name.
    """
    email: NotRequired[str]
    """
    The e-mail address.
    """
    phone: NotRequired[str]
    """
    The phone number as written.
    """


class Party(TypedDict):
    """
    One end of a call or a message.
    """

    raw: NotRequired[str]
    """
    The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
    """
    e164: NotRequired[str]
    """
    The number with `+`, if `raw` is unambiguously an E.164 number.
    """
    name: NotRequired[str]
    """
    The party's name.
    """


class Reference(TypedDict):
    """
    A reference to an object at the provider.
    """

    id: str
    """
    The object's id at the provider.
    """
    kind: NotRequired[str]
    """
    The object's type, in the provider's word.
    """


Transfer = TypedDict(
    'Transfer',
    {
        'from': NotRequired[Any],
        'to': NotRequired[Any],
        'original_call_id': NotRequired[str],
    },
)


class Recording(TypedDict):
    id: NotRequired[str]
    url: NotRequired[str]


Speaker: TypeAlias = Literal['agent', 'customer', 'ai', 'unknown']
"""
The role of a speaker. `agent`: A human at the provider's customer. `customer`: The other side. `ai`: A machine at the provider's customer. `unknown`: Not sent, or sent in an unknown word.
"""


class Link(TypedDict):
    """
    A reference and its role.
    """

    role: str
    """
    `owner`, `stage`, `contacts`, …
    """
    id: str
    """
    The object's id at the provider.
    """
    kind: NotRequired[str]
    """
    The object's type, in the provider's word.
    """


class RecordData(TypedDict):
    """
    The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
    """

    record_id: NotRequired[str]
    """
    The provider's id.
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
    email: NotRequired[str]
    """
    A user's e-mail address.
    """
    kind: NotRequired[str]
    """
    The kind of an engagement or a stage, in the provider's word.
    """
    direction: NotRequired[Direction]
    """
    The direction of an engagement.
    """
    status: NotRequired[str]
    """
    The status, in the provider's word.
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
    The time of the start.
    """
    ended_at: NotRequired[str]
    """
    The time of the end.
    """
    duration_seconds: NotRequired[float]
    """
    The duration in seconds.
    """
    links: NotRequired[list[Link]]
    """
    Related objects by role: `owner`, `stage`, `contacts`, …
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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


class ContactData(TypedDict):
    """
    The data of `contact.*`, and the contact inside other data.
    """

    contact_id: NotRequired[str]
    """
    The provider's id.
    """
    name: NotRequired[str]
    """
    The full name, where the provider sends it as one.
    """
    first_name: NotRequired[str]
    """
    The first name.
    """
    last_name: NotRequired[str]
    """
    The last name.
    """
    company: NotRequired[str]
    """
    The company's name.
    """
    emails: NotRequired[list[str]]
    """
    E-mail addresses.
    """
    phones: NotRequired[list[str]]
    """
    Phone numbers as written.
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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


class ConversationData(TypedDict):
    """
    The data of `conversation.*`.
    """

    conversation_id: NotRequired[str]
    """
    The provider's id.
    """
    status: NotRequired[str]
    """
    The status, in the provider's word.
    """
    priority: NotRequired[str]
    """
    The priority, in the provider's word.
    """
    channel_id: NotRequired[str]
    """
    The channel's id.
    """
    channel: NotRequired[str]
    """
    `webchat`, `phone`, …
    """
    attribution: NotRequired[Any]
    """
    The marketing attribution of the contact, as written.
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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
    The provider's id.
    """
    code: NotRequired[str]
    """
    The number of an invoice, or the code of an item, as people know it.
    """
    name: NotRequired[str]
    """
    The name of an item.
    """
    status: NotRequired[str]
    """
    The status of an invoice, in the provider's word.
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
    The number of units: a decimal, as a string.
    """
    issued_at: NotRequired[str]
    """
    The time of issue.
    """
    due_at: NotRequired[str]
    """
    The time by which it must be paid.
    """
    paid_at: NotRequired[str]
    """
    The time of payment.
    """
    links: NotRequired[list[Link]]
    """
    Related objects by role: `contact`, `company`, `invoice`, `item`, `line_items`.
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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


class SchedulingData(TypedDict):
    """
    The data of `scheduling.*`.
    """

    scheduling_id: NotRequired[str]
    """
    The provider's id.
    """
    name: NotRequired[str]
    """
    The name or title.
    """
    status: NotRequired[str]
    """
    The status, in the provider's word.
    """
    description: NotRequired[str]
    """
    A free-text description.
    """
    starts_at: NotRequired[str]
    """
    The time of the start.
    """
    ends_at: NotRequired[str]
    """
    The time of the end.
    """
    date: NotRequired[str]
    """
    A slot's day, as the provider wrote it.
    """
    timezone: NotRequired[str]
    """
    A slot's time zone.
    """
    duration_minutes: NotRequired[float]
    """
    The duration in minutes, as the provider sends it.
    """
    durations: NotRequired[Any]
    """
    The durations that an event type offers, in minutes, as written.
    """
    questions: NotRequired[Any]
    """
    The questions of an event type, as written.
    """
    answers: NotRequired[Any]
    """
    The answers of a booked event, as written.
    """
    scheduling_url: NotRequired[str]
    """
    The address of the booking page.
    """
    links: NotRequired[list[Link]]
    """
    Related objects by role.
    """
    external_attendees: NotRequired[Any]
    """
    The external attendees, as written.
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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
    The provider's id.
    """
    triggered_by: NotRequired[Any]
    """
    The user who opened the card, as written.
    """
    links: NotRequired[list[Link]]
    """
    The objects on the card, by role.
    """
    created_at: NotRequired[str]
    """
    The time of creation.
    """
    updated_at: NotRequired[str]
    """
    The time of the last change.
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


class CallValue(TypedDict):
    """
    The value of a call.
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


CallData = TypedDict(
    'CallData',
    {
        'call_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'status': NotRequired[CallStatus],
        'end_reason': NotRequired[EndReason],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'started_at': NotRequired[str],
        'answered_at': NotRequired[str],
        'ended_at': NotRequired[str],
        'duration_seconds': NotRequired[float],
        'recording_url': NotRequired[str],
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
        'derived': NotRequired[list[str]],
        'unmapped': NotRequired[dict[str, Any]],
        'recordings': NotRequired[list[Recording]],
    },
)


class CallEvent(Attributes):
    """
    Events with CallData.
    """

    type: Literal['call.answered', 'call.cost_reported', 'call.deleted', 'call.early_media', 'call.ended', 'call.error', 'call.initiated', 'call.input', 'call.media', 'call.outcome_tagged', 'call.ringing', 'call.tagged', 'call.transferred', 'call.untagged', 'call.updated']
    data: CallData


class Segment(TypedDict):
    """
    One utterance.
    """

    speaker: Speaker
    """
    The role of the speaker.
    """
    text: str
    """
    The spoken text.
    """
    at: NotRequired[str]
    """
    The start, as the provider wrote it: a time, seconds into the call, or a number of unknown unit.
    """
    until: NotRequired[str]
    """
    The end, likewise.
    """
    speaker_id: NotRequired[str]
    """
    The id of the speaker, where speakers have ids.
    """


TranscriptData = TypedDict(
    'TranscriptData',
    {
        'transcript_id': NotRequired[str],
        'call_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'transcript': NotRequired[list[Segment]],
        'full_text': NotRequired[str],
        'speakers': NotRequired[list[Participant]],
        'duration_seconds': NotRequired[float],
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


MessageData = TypedDict(
    'MessageData',
    {
        'message_id': NotRequired[str],
        'conversation_id': NotRequired[str],
        'direction': NotRequired[Direction],
        'kind': NotRequired[str],
        'channel': NotRequired[str],
        'from': NotRequired[Party],
        'to': NotRequired[Party],
        'sender_kind': NotRequired[str],
        'content': NotRequired[str],
        'media': NotRequired[Any],
        'status': NotRequired[str],
        'sent_at': NotRequired[str],
        'received_at': NotRequired[str],
        'delivered_at': NotRequired[str],
        'cost': NotRequired[Cost],
        'tag': NotRequired[str],
        'error': NotRequired[str],
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


HookswitchEvent: TypeAlias = CallEvent | TranscriptEvent | RecordEvent | ContactEvent | ConversationEvent | InvoiceEvent | MessageEvent | PlainEvent | SchedulingEvent | WidgetEvent
"""
Any event. Its `type` tells which data it has.
"""
