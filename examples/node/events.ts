// Generated from schemas/ by `make types`: the types of hookswitch's events, without code.

/**
 * Any event. Its `type` tells which data it has.
 */
export type HookswitchEvent =
  | CallEvent
  | TranscriptEvent
  | RecordEvent
  | ContactEvent
  | ConversationEvent
  | InvoiceEvent
  | MessageEvent
  | PlainEvent
  | SchedulingEvent
  | WidgetEvent;
/**
 * Events with CallData.
 */
export type CallEvent = Attributes & {
  type:
    | "call.answered"
    | "call.cost_reported"
    | "call.deleted"
    | "call.early_media"
    | "call.ended"
    | "call.error"
    | "call.initiated"
    | "call.input"
    | "call.media"
    | "call.outcome_tagged"
    | "call.recording.available"
    | "call.ringing"
    | "call.scheduled"
    | "call.tagged"
    | "call.transferred"
    | "call.untagged"
    | "call.updated";
  data: CallData;
};
/**
 * Events with TranscriptData.
 */
export type TranscriptEvent = Attributes & {
  type:
    | "call.transcript.completed"
    | "call.transcript.deleted"
    | "call.transcript.failed"
    | "call.transcript.partial"
    | "call.transcript.updated";
  data: TranscriptData;
};
/**
 * Events with RecordData.
 */
export type RecordEvent = Attributes & {
  type:
    | "company.created"
    | "company.deleted"
    | "company.updated"
    | "engagement.created"
    | "engagement.deleted"
    | "engagement.updated"
    | "opportunity.created"
    | "opportunity.deleted"
    | "opportunity.updated"
    | "pipeline.created"
    | "pipeline.deleted"
    | "pipeline.updated"
    | "stage.created"
    | "stage.deleted"
    | "stage.updated"
    | "user.created"
    | "user.deleted"
    | "user.updated"
    | "workspace.created"
    | "workspace.deleted"
    | "workspace.updated";
  data: RecordData;
};
/**
 * Events with ContactData.
 */
export type ContactEvent = Attributes & {
  type: "contact.created" | "contact.deleted" | "contact.updated";
  data: ContactData;
};
/**
 * Events with ConversationData.
 */
export type ConversationEvent = Attributes & {
  type: "conversation.closed" | "conversation.created" | "conversation.resolved";
  data: ConversationData;
};
/**
 * Events with InvoiceData.
 */
export type InvoiceEvent = Attributes & {
  type:
    | "invoice.created"
    | "invoice.deleted"
    | "invoice.item.created"
    | "invoice.item.deleted"
    | "invoice.item.updated"
    | "invoice.line_item.created"
    | "invoice.line_item.deleted"
    | "invoice.line_item.updated"
    | "invoice.updated";
  data: InvoiceData;
};
/**
 * Events with MessageData.
 */
export type MessageEvent = Attributes & {
  type: "message.delivery_reported" | "message.received" | "message.sent";
  data: MessageData;
};
/**
 * Events with PlainData.
 */
export type PlainEvent = Attributes & {
  type: "provider.unmapped" | "source.ping";
  data: PlainData;
};
/**
 * Events with SchedulingData.
 */
export type SchedulingEvent = Attributes & {
  type:
    | "scheduling.event.created"
    | "scheduling.event.deleted"
    | "scheduling.event.updated"
    | "scheduling.event_type.created"
    | "scheduling.event_type.deleted"
    | "scheduling.event_type.updated"
    | "scheduling.slot.created"
    | "scheduling.slot.deleted"
    | "scheduling.slot.updated";
  data: SchedulingData;
};
/**
 * Events with WidgetData.
 */
export type WidgetEvent = Attributes & {
  type: "widget.card_view.created" | "widget.card_view.deleted" | "widget.card_view.updated";
  data: WidgetData;
};

/**
 * What all events have in common.
 */
export interface Attributes {
  /**
   * The version of CloudEvents.
   */
  specversion: "1.0";
  /**
   * The event's id. The same webhook always gives the same ids.
   */
  id: string;
  /**
   * `/hookswitch/<provider>/<source>`.
   */
  source: string;
  /**
   * The object that the event is about, as in `call/<id>`, percent-encoded.
   */
  subject: string;
  /**
   * The time of the event at the provider, or of the receipt.
   */
  time: string;
  /**
   * Present if `time` is the time of the receipt.
   */
  timesource?: "received";
  /**
   * The media type of `data`.
   */
  datacontenttype: "application/json";
  /**
   * The id of the schema of `data`.
   */
  dataschema: string;
  /**
   * The provider's name.
   */
  provider: string;
  /**
   * The provider's own name for the event.
   */
  providerevent: string;
  /**
   * The id of the webhook that the event comes from.
   */
  deliveryid: string;
  /**
   * The identity of the fact within its source.
   */
  idempotencykey: string;
  /**
   * True if the provider marks the event as a test.
   */
  test: boolean;
  /**
   * The tenant, where one source serves several.
   */
  tenant?: string;
  /**
   * The system behind a unified API, where a source serves several.
   */
  connector?: string;
  /**
   * Equal for all events about the same call, conversation or record.
   */
  correlationid?: string;
  /**
   * A hash of `correlationid`: 8 hexadecimal digits.
   */
  partitionkey?: string;
  /**
   * As text, sorts events with the same `correlationid` by the provider's times.
   */
  sequence: string;
  /**
   * True if an event with the same `correlationid` and a higher `sequence` was published before.
   */
  late?: boolean;
  /**
   * The time at which the webhook was received.
   */
  recordedtime: string;
  /**
   * The protection that the event needs.
   */
  dataclassification: "internal" | "confidential";
  /**
   * Present in a copy without personal data: what became of which.
   */
  redaction?: string;
  /**
   * The trace that the webhook belongs to (W3C Trace Context).
   */
  traceparent?: string;
  /**
   * The state of that trace.
   */
  tracestate?: string;
}
/**
 * The data of `call.*`.
 */
export interface CallData {
  /**
   * The call's id at the provider, an opaque string. The first events of one provider have none.
   */
  call_id?: string;
  /**
   * The direction, seen from the provider's customer.
   */
  direction?: "inbound" | "outbound";
  /**
   * The direction in the provider's word, only where that is unknown.
   */
  direction_raw?: string;
  /**
   * The state of the call: of the event's type where that says one, else as the provider says.
   */
  status?: "scheduled" | "initiated" | "ringing" | "in_progress" | "ended";
  /**
   * The state in the provider's own word.
   */
  status_raw?: string;
  /**
   * The reason why the call ended, absent where the provider does not say it.
   */
  end_reason?:
    "completed" | "busy" | "canceled" | "rejected" | "no_answer" | "missed" | "voicemail" | "abandoned" | "failed";
  /**
   * The reason in the provider's own word.
   */
  end_reason_raw?: string;
  from?: Party;
  to?: Party1;
  /**
   * The time for which the call is planned, RFC 3339 in UTC.
   */
  scheduled_at?: string;
  /**
   * The time at which the call was set up, RFC 3339 in UTC.
   */
  started_at?: string;
  /**
   * The time of the answer, RFC 3339 in UTC.
   */
  answered_at?: string;
  /**
   * The time at which the call ended, RFC 3339 in UTC.
   */
  ended_at?: string;
  /**
   * The length of the call in seconds, from its start to its end.
   */
  duration_seconds?: number;
  /**
   * The length of the conversation in seconds, from the answer to the end.
   */
  talk_seconds?: number;
  /**
   * The length in seconds that the provider bills.
   */
  billed_seconds?: number;
  /**
   * The recordings of the call.
   */
  recordings?: Recording[];
  /**
   * A label that a person or the provider's customer put on the call.
   */
  tag?: string;
  /**
   * True if a machine answered, such as a voicemail.
   */
  machine_detected?: boolean;
  /**
   * The people in the call.
   */
  participants?: Participant[];
  transfer?: Transfer;
  /**
   * A summary of what was said, a free text.
   */
  summary?: string;
  /**
   * A summary in one sentence.
   */
  short_summary?: string;
  transcript_ref?: Reference1;
  outcome?: CallOutcome;
  /**
   * The marketing attribution of the caller, as the provider wrote it.
   */
  attribution?: {
    [k: string]: unknown;
  };
  value?: CallValue;
  cost?: Cost;
  /**
   * The error in the provider's words, a free text.
   */
  error?: string;
  /**
   * The media that was played during the call, as the provider wrote it.
   */
  media?: {
    [k: string]: unknown;
  };
  /**
   * The keys that were pressed during the call. They may be a PIN.
   */
  digits?: string;
  /**
   * True if the event states how a call stands that may have been told to be over before.
   */
  snapshot?: boolean;
  /**
   * The names of the fields of this event that hookswitch computed.
   */
  derived?: string[];
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The caller.
 */
export interface Party {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * The callee.
 */
export interface Party1 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * A recording of a call.
 */
export interface Recording {
  /**
   * The recording's id at the provider, an opaque string.
   */
  id?: string;
  /**
   * The address of the recording, a URL that may need the provider's credentials.
   */
  url?: string;
  /**
   * The time at which the recording starts, RFC 3339 in UTC.
   */
  started_at?: string;
  /**
   * The length of the recording in seconds.
   */
  duration_seconds?: number;
}
/**
 * A person in a call, a transcript, a message, a conversation or a record.
 */
export interface Participant {
  /**
   * The person's part, absent where the provider does not say it.
   */
  role?: "agent" | "customer" | "ai" | "owner" | "organizer";
  /**
   * The person's part in the provider's own word.
   */
  role_raw?: string;
  /**
   * The end of the call or message at which the person is, where it is known.
   */
  party?: "from" | "to";
  /**
   * The person's id among the speakers of this transcript, to which `transcript[].speaker_id` refers.
   */
  speaker_id?: string;
  reference?: Reference;
  /**
   * The full name.
   */
  name?: string;
  /**
   * E-mail addresses.
   */
  emails?: string[];
  /**
   * Phone numbers.
   */
  phones?: Phone[];
}
/**
 * The person's record at the provider.
 */
export interface Reference {
  /**
   * The object's id at the provider, an opaque string.
   */
  id: string;
  /**
   * The kind of object, absent where the provider sends none or an unknown word.
   */
  kind?:
    | "contact"
    | "company"
    | "user"
    | "workspace"
    | "opportunity"
    | "pipeline"
    | "stage"
    | "engagement"
    | "invoice"
    | "invoice_item"
    | "invoice_line_item"
    | "event_type"
    | "slot"
    | "event"
    | "call"
    | "transcript";
  /**
   * The kind of object in the provider's own word.
   */
  kind_raw?: string;
}
/**
 * A phone number of a person.
 */
export interface Phone {
  /**
   * The number as the provider wrote it.
   */
  raw: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
}
/**
 * The transfer of the call.
 */
export interface Transfer {
  from?: Participant1;
  to?: Participant2;
  /**
   * The id of the first call in the chain of transfers.
   */
  original_call_id?: string;
}
/**
 * A person in a call, a transcript, a message, a conversation or a record.
 */
export interface Participant1 {
  /**
   * The person's part, absent where the provider does not say it.
   */
  role?: "agent" | "customer" | "ai" | "owner" | "organizer";
  /**
   * The person's part in the provider's own word.
   */
  role_raw?: string;
  /**
   * The end of the call or message at which the person is, where it is known.
   */
  party?: "from" | "to";
  /**
   * The person's id among the speakers of this transcript, to which `transcript[].speaker_id` refers.
   */
  speaker_id?: string;
  reference?: Reference;
  /**
   * The full name.
   */
  name?: string;
  /**
   * E-mail addresses.
   */
  emails?: string[];
  /**
   * Phone numbers.
   */
  phones?: Phone[];
}
/**
 * A person in a call, a transcript, a message, a conversation or a record.
 */
export interface Participant2 {
  /**
   * The person's part, absent where the provider does not say it.
   */
  role?: "agent" | "customer" | "ai" | "owner" | "organizer";
  /**
   * The person's part in the provider's own word.
   */
  role_raw?: string;
  /**
   * The end of the call or message at which the person is, where it is known.
   */
  party?: "from" | "to";
  /**
   * The person's id among the speakers of this transcript, to which `transcript[].speaker_id` refers.
   */
  speaker_id?: string;
  reference?: Reference;
  /**
   * The full name.
   */
  name?: string;
  /**
   * E-mail addresses.
   */
  emails?: string[];
  /**
   * Phone numbers.
   */
  phones?: Phone[];
}
/**
 * The transcript, where it is an object of its own at the provider.
 */
export interface Reference1 {
  /**
   * The object's id at the provider, an opaque string.
   */
  id: string;
  /**
   * The kind of object, absent where the provider sends none or an unknown word.
   */
  kind?:
    | "contact"
    | "company"
    | "user"
    | "workspace"
    | "opportunity"
    | "pipeline"
    | "stage"
    | "engagement"
    | "invoice"
    | "invoice_item"
    | "invoice_line_item"
    | "event_type"
    | "slot"
    | "event"
    | "call"
    | "transcript";
  /**
   * The kind of object in the provider's own word.
   */
  kind_raw?: string;
}
/**
 * The outcome, as an agent tagged it.
 */
export interface CallOutcome {
  /**
   * The id of the tag.
   */
  id?: string;
  /**
   * The outcome, absent where the provider sends an unknown word.
   */
  kind?: "booked" | "quoted" | "follow_up" | "not_interested" | "no_answer" | "spam" | "wrong_number" | "other";
  /**
   * The outcome in the provider's own word.
   */
  kind_raw?: string;
  /**
   * The agent's notes, a free text.
   */
  notes?: string;
}
/**
 * The value of the call for the provider's customer.
 */
export interface CallValue {
  estimated?: Money;
  actual?: Money1;
  revenue?: Money2;
}
/**
 * The estimated value.
 */
export interface Money {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The actual value.
 */
export interface Money1 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The revenue.
 */
export interface Money2 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The cost of the call.
 */
export interface Cost {
  total?: Money3;
  per_minute?: Money4;
}
/**
 * The total cost.
 */
export interface Money3 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The cost per minute.
 */
export interface Money4 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The data of `call.transcript.*`.
 */
export interface TranscriptData {
  /**
   * The transcript's own id at the provider, an opaque string, where it has one.
   */
  transcript_id?: string;
  /**
   * The call's id at the provider, an opaque string. A transcript of a file has none.
   */
  call_id?: string;
  /**
   * The direction of the call, seen from the provider's customer.
   */
  direction?: "inbound" | "outbound";
  /**
   * The direction in the provider's word, only where that is unknown.
   */
  direction_raw?: string;
  from?: Party2;
  to?: Party3;
  /**
   * The utterances in the provider's order. One utterance in a partial transcript.
   */
  transcript?: Segment[];
  /**
   * The whole transcript as one text, where the provider sends it.
   */
  full_text?: string;
  /**
   * The speakers.
   */
  participants?: Participant[];
  /**
   * The length in seconds of what was transcribed, which need not be that of the call.
   */
  transcript_seconds?: number;
  /**
   * The error in the provider's words, a free text.
   */
  error?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The caller.
 */
export interface Party2 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * The callee.
 */
export interface Party3 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * One utterance.
 */
export interface Segment {
  /**
   * The utterance's position in the provider's list, from 0. Absent in a partial transcript.
   */
  sequence?: number;
  /**
   * The role of the speaker, absent where the provider does not say it.
   */
  speaker?: "agent" | "customer" | "ai";
  /**
   * The speaker in the provider's own word.
   */
  speaker_raw?: string;
  /**
   * The speaker's id, where speakers have ids: see `participants[].speaker_id`.
   */
  speaker_id?: string;
  /**
   * The spoken text.
   */
  text: string;
  /**
   * The time of the utterance's start, RFC 3339 in UTC, where it is certain.
   */
  at?: string;
  /**
   * The utterance's start in whole milliseconds since the start of the call, where it is certain.
   */
  offset_ms?: number;
  /**
   * The utterance's start in the provider's own text.
   */
  at_raw?: string;
  /**
   * The time of the utterance's end, RFC 3339 in UTC, where it is certain.
   */
  until?: string;
  /**
   * The utterance's end in whole milliseconds since the start of the call, where it is certain.
   */
  until_offset_ms?: number;
  /**
   * The utterance's end in the provider's own text.
   */
  until_raw?: string;
}
/**
 * The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
 */
export interface RecordData {
  /**
   * The record's id at the provider, an opaque string.
   */
  record_id?: string;
  /**
   * The name or title.
   */
  name?: string;
  /**
   * A user's first name.
   */
  first_name?: string;
  /**
   * A user's last name.
   */
  last_name?: string;
  /**
   * A user's e-mail addresses.
   */
  emails?: string[];
  /**
   * The kind of an engagement or a stage.
   */
  kind?: "call" | "meeting" | "email" | "task" | "note" | "open" | "won" | "lost";
  /**
   * The kind in the provider's own word.
   */
  kind_raw?: string;
  /**
   * The direction of an engagement, seen from the provider's customer.
   */
  direction?: "inbound" | "outbound";
  /**
   * The direction in the provider's word, only where that is unknown.
   */
  direction_raw?: string;
  /**
   * The state of an engagement.
   */
  status?: "planned" | "in_progress" | "completed" | "canceled";
  /**
   * The state in the provider's own word.
   */
  status_raw?: string;
  /**
   * A free-text description.
   */
  description?: string;
  amount?: Money5;
  /**
   * The time at which an engagement starts, RFC 3339 in UTC.
   */
  started_at?: string;
  /**
   * The time at which an engagement ends, RFC 3339 in UTC.
   */
  ended_at?: string;
  /**
   * The length of an engagement in seconds.
   */
  duration_seconds?: number;
  /**
   * The people of the record.
   */
  participants?: Participant[];
  /**
   * Related objects that are no people, by role: `stage`, `pipeline`, `companies`, …
   */
  links?: Link[];
  /**
   * The time at which the record was created at the provider, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the record's last change at the provider, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * An opportunity's amount.
 */
export interface Money5 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * A reference and its role.
 */
export interface Link {
  /**
   * The part that the object has for the record: `stage`, `companies`, …
   */
  role: string;
  /**
   * The object's id at the provider, an opaque string.
   */
  id: string;
  /**
   * The kind of object, absent where the provider sends none or an unknown word.
   */
  kind?:
    | "contact"
    | "company"
    | "user"
    | "workspace"
    | "opportunity"
    | "pipeline"
    | "stage"
    | "engagement"
    | "invoice"
    | "invoice_item"
    | "invoice_line_item"
    | "event_type"
    | "slot"
    | "event"
    | "call"
    | "transcript";
  /**
   * The kind of object in the provider's own word.
   */
  kind_raw?: string;
}
/**
 * The data of `contact.*`.
 */
export interface ContactData {
  /**
   * The contact's id at the provider, an opaque string.
   */
  contact_id?: string;
  /**
   * The full name, where the provider sends it as one.
   */
  name?: string;
  /**
   * The first name, where the provider sends it by itself.
   */
  first_name?: string;
  /**
   * The last name, where the provider sends it by itself.
   */
  last_name?: string;
  /**
   * The name of the contact's company.
   */
  company?: string;
  /**
   * E-mail addresses; empty if the provider says that there are none.
   */
  emails?: string[];
  /**
   * Phone numbers; empty if the provider says that there are none.
   */
  phones?: Phone[];
  /**
   * The time at which the contact was created at the provider, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the contact's last change at the provider, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The data of `conversation.*`.
 */
export interface ConversationData {
  /**
   * The conversation's id at the provider, an opaque string.
   */
  conversation_id?: string;
  /**
   * The state of the conversation.
   */
  status?: "open" | "pending" | "resolved" | "closed";
  /**
   * The state of the conversation in the provider's own word.
   */
  status_raw?: string;
  /**
   * The priority.
   */
  priority?: "low" | "normal" | "high" | "urgent";
  /**
   * The priority in the provider's own word.
   */
  priority_raw?: string;
  /**
   * The channel's id at the provider, an opaque string.
   */
  channel_id?: string;
  /**
   * The channel.
   */
  channel?: "phone" | "sms" | "webchat" | "email" | "whatsapp";
  /**
   * The channel in the provider's own word.
   */
  channel_raw?: string;
  /**
   * The people in the conversation.
   */
  participants?: Participant[];
  /**
   * The marketing attribution of the contact, as the provider wrote it.
   */
  attribution?: {
    [k: string]: unknown;
  };
  /**
   * The time at which the conversation began, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the conversation's last change, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The data of `invoice.*`: invoices, the items that can be billed, and the lines of an invoice.
 */
export interface InvoiceData {
  /**
   * The record's id at the provider, an opaque string.
   */
  record_id?: string;
  /**
   * The number of an invoice, or the code of an item, as people know it.
   */
  code?: string;
  /**
   * The name of an item.
   */
  name?: string;
  /**
   * The state of an invoice.
   */
  status?: "draft" | "pending" | "overdue" | "paid" | "void";
  /**
   * The state in the provider's own word.
   */
  status_raw?: string;
  /**
   * A free-text description or note.
   */
  description?: string;
  total?: Money6;
  pre_tax?: Money7;
  tax?: Money8;
  /**
   * True if the amounts include tax.
   */
  tax_included?: boolean;
  balance?: Money9;
  unit_price?: Money10;
  /**
   * The number of units: a decimal as a string.
   */
  quantity?: string;
  /**
   * The time of issue, RFC 3339 in UTC.
   */
  issued_at?: string;
  /**
   * The time by which it must be paid, RFC 3339 in UTC.
   */
  due_at?: string;
  /**
   * The time of payment, RFC 3339 in UTC.
   */
  paid_at?: string;
  /**
   * The people who get the invoice.
   */
  participants?: Participant[];
  /**
   * Related objects that are no people, by role: `company`, `invoice`, `item`, `line_items`.
   */
  links?: Link[];
  /**
   * The time at which the record was created at the provider, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the record's last change at the provider, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The total amount.
 */
export interface Money6 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The amount before tax.
 */
export interface Money7 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The tax.
 */
export interface Money8 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The amount that is not paid yet.
 */
export interface Money9 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The price of one unit, before tax.
 */
export interface Money10 {
  /**
   * The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
   */
  amount: string;
  /**
   * The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
   */
  currency?: string;
  /**
   * The same amount as an integer in minor units, such as cents, where the provider sends those.
   */
  minor_units?: number;
}
/**
 * The data of `message.*`.
 */
export interface MessageData {
  /**
   * The message's id at the provider, an opaque string. The oldest edition of one provider has none.
   */
  message_id?: string;
  /**
   * The id of the conversation at the provider, an opaque string.
   */
  conversation_id?: string;
  /**
   * The direction, seen from the provider's customer.
   */
  direction?: "inbound" | "outbound";
  /**
   * The direction in the provider's word, only where that is unknown.
   */
  direction_raw?: string;
  /**
   * The kind of message.
   */
  kind?: "sms" | "mms" | "whatsapp" | "text";
  /**
   * The kind of message in the provider's own word.
   */
  kind_raw?: string;
  /**
   * The channel.
   */
  channel?: "phone" | "sms" | "webchat" | "email" | "whatsapp";
  /**
   * The channel in the provider's own word.
   */
  channel_raw?: string;
  from?: Party4;
  to?: Party5;
  /**
   * The text of the message.
   */
  content?: string;
  /**
   * The attached media, as the provider wrote it.
   */
  media?: {
    [k: string]: unknown;
  };
  /**
   * The state of the delivery.
   */
  status?: "accepted" | "pending" | "sent" | "delivered" | "undelivered" | "expired" | "rejected";
  /**
   * The state of the delivery in the provider's own word.
   */
  status_raw?: string;
  /**
   * The time of sending, RFC 3339 in UTC.
   */
  sent_at?: string;
  /**
   * The time of receipt by the provider, RFC 3339 in UTC.
   */
  received_at?: string;
  /**
   * The time of the last state of the delivery, RFC 3339 in UTC.
   */
  delivered_at?: string;
  cost?: Cost1;
  /**
   * A label of a group of messages.
   */
  tag?: string;
  /**
   * The error in the provider's words, a free text.
   */
  error?: string;
  /**
   * The people who wrote and got the message.
   */
  participants?: Participant[];
  /**
   * The marketing attribution of the sender, as the provider wrote it.
   */
  attribution?: {
    [k: string]: unknown;
  };
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The sender.
 */
export interface Party4 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * The recipient.
 */
export interface Party5 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
   */
  raw?: string;
  /**
   * The number in E.164 with `+`, where it is certain.
   */
  e164?: string;
  /**
   * The name that the provider has for the address.
   */
  name?: string;
}
/**
 * The cost of the message.
 */
export interface Cost1 {
  total?: Money3;
  per_minute?: Money4;
}
/**
 * The data of `source.ping` and `provider.unmapped`.
 */
export interface PlainData {
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The data of `scheduling.*`.
 */
export interface SchedulingData {
  /**
   * The object's id at the provider, an opaque string.
   */
  scheduling_id?: string;
  /**
   * The name or title.
   */
  name?: string;
  /**
   * The state in the provider's own word, of which no list is known.
   */
  status_raw?: string;
  /**
   * A free-text description.
   */
  description?: string;
  /**
   * The time of the start, RFC 3339 in UTC.
   */
  starts_at?: string;
  /**
   * The time of the end, RFC 3339 in UTC.
   */
  ends_at?: string;
  /**
   * The day of a slot, as the provider wrote it.
   */
  date?: string;
  /**
   * The time zone of a slot, as the provider wrote it.
   */
  timezone?: string;
  /**
   * The length of an event in minutes.
   */
  duration_minutes?: number;
  /**
   * The lengths in minutes that an event type offers, as the provider wrote them.
   */
  durations?: {
    [k: string]: unknown;
  };
  /**
   * The questions of an event type, as the provider wrote them.
   */
  questions?: {
    [k: string]: unknown;
  };
  /**
   * The answers of a booked event, as the provider wrote them.
   */
  answers?: {
    [k: string]: unknown;
  };
  /**
   * The address of the booking page, a URL.
   */
  scheduling_url?: string;
  /**
   * The people of the object.
   */
  participants?: Participant[];
  /**
   * Related objects that are no people, by role: `event_type`, `slots`.
   */
  links?: Link[];
  /**
   * The time at which the object was created at the provider, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the object's last change at the provider, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The data of `widget.card_view.*`.
 */
export interface WidgetData {
  /**
   * The card view's id at the provider, an opaque string.
   */
  widget_id?: string;
  triggered_by?: Reference2;
  /**
   * The people on the card.
   */
  participants?: Participant[];
  /**
   * The objects on the card that are no people, by role: `company`, `opportunity`, `call`, …
   */
  links?: Link[];
  /**
   * The time at which the view was created at the provider, RFC 3339 in UTC.
   */
  created_at?: string;
  /**
   * The time of the view's last change at the provider, RFC 3339 in UTC.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
/**
 * The user who opened the card.
 */
export interface Reference2 {
  /**
   * The object's id at the provider, an opaque string.
   */
  id: string;
  /**
   * The kind of object, absent where the provider sends none or an unknown word.
   */
  kind?:
    | "contact"
    | "company"
    | "user"
    | "workspace"
    | "opportunity"
    | "pipeline"
    | "stage"
    | "engagement"
    | "invoice"
    | "invoice_item"
    | "invoice_line_item"
    | "event_type"
    | "slot"
    | "event"
    | "call"
    | "transcript";
  /**
   * The kind of object in the provider's own word.
   */
  kind_raw?: string;
}
