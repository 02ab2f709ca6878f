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
    | "call.ringing"
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
   * The trace that the webhook belongs to, in the format of W3C.
   */
  traceparent?: string;
  /**
   * The time at which the webhook was received.
   */
  recordedtime: string;
  sequence: string;
  correlationid?: string;
}
/**
 * The data of `call.*`.
 */
export interface CallData {
  /**
   * The provider's id, opaque. One provider's early events have none.
   */
  call_id?: string;
  /**
   * The direction.
   */
  direction?: "inbound" | "outbound";
  /**
   * The state of the call.
   */
  status?: "planned" | "initiated" | "ringing" | "in_progress" | "ended" | "unknown" | "scheduled";
  /**
   * The reason for its end.
   */
  end_reason?:
    | "completed"
    | "busy"
    | "canceled"
    | "rejected"
    | "no_answer"
    | "missed"
    | "voicemail"
    | "abandoned"
    | "failed"
    | "unknown";
  from?: Party;
  to?: Party1;
  /**
   * The time of the start.
   */
  started_at?: string;
  /**
   * The time of the answer.
   */
  answered_at?: string;
  /**
   * The time of the end.
   */
  ended_at?: string;
  /**
   * The duration in seconds.
   */
  duration_seconds?: number;
  /**
   * The address of the recording.
   */
  recording_url?: string;
  /**
   * A label that a person put on the call.
   */
  tag?: string;
  /**
   * True if a machine answered.
   */
  machine_detected?: boolean;
  /**
   * The participants.
   */
  participants?: Participant[];
  transfer?: Transfer;
  /**
   * A summary.
   */
  summary?: string;
  /**
   * A summary in one sentence.
   */
  short_summary?: string;
  transcript_ref?: Reference;
  outcome?: CallOutcome;
  /**
   * The marketing attribution of the caller, as written.
   */
  attribution?: {
    [k: string]: unknown;
  };
  value?: CallValue;
  cost?: Cost;
  /**
   * The error, in the provider's words.
   */
  error?: string;
  /**
   * The media that was played during the call, as written.
   */
  media?: {
    [k: string]: unknown;
  };
  /**
   * The keys that were pressed. Sensitive.
   */
  digits?: string;
  /**
   * The names of the fields above that were computed.
   */
  derived?: string[];
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
  recordings?: {
    id?: string;
    url?: string;
  }[];
}
/**
 * The caller.
 */
export interface Party {
  /**
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * The callee.
 */
export interface Party1 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * A participant of a call or a speaker of a transcript.
 */
export interface Participant {
  /**
   * `internal`, `external` or `unknown`, where the provider says so.
   */
  role?: string;
  /**
   * The id at the provider.
   */
  id?: string;
  /**
   * The type of object that the id belongs to, in the provider's word.
   */
  kind?: string;
  /**
   * The name.
   */
  name?: string;
  /**
   * The e-mail address.
   */
  email?: string;
  /**
   * The phone number as written.
   */
  phone?: string;
}
/**
 * The transfer.
 */
export interface Transfer {
  /**
   * The transferring party, as written.
   */
  from?: {
    [k: string]: unknown;
  };
  /**
   * The receiving party, as written.
   */
  to?: {
    [k: string]: unknown;
  };
  /**
   * The id of the first call in the chain.
   */
  original_call_id?: string;
}
/**
 * The transcript, where it is a separate object.
 */
export interface Reference {
  /**
   * The object's id at the provider.
   */
  id: string;
  /**
   * The object's type, in the provider's word.
   */
  kind?: string;
}
/**
 * The outcome.
 */
export interface CallOutcome {
  /**
   * The tag's id.
   */
  id?: string;
  /**
   * `booked`, `spam`, …
   */
  kind?: string;
  /**
   * Free text.
   */
  notes?: string;
}
/**
 * The value.
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
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The actual value.
 */
export interface Money1 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The revenue.
 */
export interface Money2 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The cost.
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
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The cost per minute.
 */
export interface Money4 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The data of `call.transcript.*`.
 */
export interface TranscriptData {
  /**
   * The transcript's own id, where it has one.
   */
  transcript_id?: string;
  /**
   * The call's id.
   */
  call_id?: string;
  /**
   * The direction of the call.
   */
  direction?: "inbound" | "outbound";
  from?: Party2;
  to?: Party3;
  /**
   * The utterances, in the provider's order.
   */
  transcript?: Segment[];
  /**
   * The transcript as one text, where the provider sends it.
   */
  full_text?: string;
  /**
   * The speakers.
   */
  speakers?: Participant[];
  /**
   * The duration in seconds.
   */
  duration_seconds?: number;
  /**
   * The error, in the provider's words.
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
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * The callee.
 */
export interface Party3 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * One utterance.
 */
export interface Segment {
  /**
   * The role of the speaker.
   */
  speaker: "agent" | "customer" | "ai" | "unknown";
  /**
   * The spoken text.
   */
  text: string;
  /**
   * The start, as the provider wrote it: a time, seconds into the call, or a number of unknown unit.
   */
  at?: string;
  /**
   * The end, likewise.
   */
  until?: string;
  /**
   * The id of the speaker, where speakers have ids.
   */
  speaker_id?: string;
}
/**
 * The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
 */
export interface RecordData {
  /**
   * The provider's id.
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
   * A user's e-mail address.
   */
  email?: string;
  /**
   * The kind of an engagement or a stage, in the provider's word.
   */
  kind?: string;
  /**
   * The direction of an engagement.
   */
  direction?: "inbound" | "outbound";
  /**
   * The status, in the provider's word.
   */
  status?: string;
  /**
   * A free-text description.
   */
  description?: string;
  amount?: Money5;
  /**
   * The time of the start.
   */
  started_at?: string;
  /**
   * The time of the end.
   */
  ended_at?: string;
  /**
   * The duration in seconds.
   */
  duration_seconds?: number;
  /**
   * Related objects by role: `owner`, `stage`, `contacts`, …
   */
  links?: Link[];
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
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
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * A reference and its role.
 */
export interface Link {
  /**
   * `owner`, `stage`, `contacts`, …
   */
  role: string;
  /**
   * The object's id at the provider.
   */
  id: string;
  /**
   * The object's type, in the provider's word.
   */
  kind?: string;
}
/**
 * The data of `contact.*`, and the contact inside other data.
 */
export interface ContactData {
  /**
   * The provider's id.
   */
  contact_id?: string;
  /**
   * The full name, where the provider sends it as one.
   */
  name?: string;
  /**
   * The first name.
   */
  first_name?: string;
  /**
   * The last name.
   */
  last_name?: string;
  /**
   * The company's name.
   */
  company?: string;
  /**
   * E-mail addresses.
   */
  emails?: string[];
  /**
   * Phone numbers as written.
   */
  phones?: string[];
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
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
   * The provider's id.
   */
  conversation_id?: string;
  /**
   * The status, in the provider's word.
   */
  status?: string;
  /**
   * The priority, in the provider's word.
   */
  priority?: string;
  /**
   * The channel's id.
   */
  channel_id?: string;
  /**
   * `webchat`, `phone`, …
   */
  channel?: string;
  /**
   * The marketing attribution of the contact, as written.
   */
  attribution?: {
    [k: string]: unknown;
  };
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
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
   * The provider's id.
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
   * The status of an invoice, in the provider's word.
   */
  status?: string;
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
   * The number of units: a decimal, as a string.
   */
  quantity?: string;
  /**
   * The time of issue.
   */
  issued_at?: string;
  /**
   * The time by which it must be paid.
   */
  due_at?: string;
  /**
   * The time of payment.
   */
  paid_at?: string;
  /**
   * Related objects by role: `contact`, `company`, `invoice`, `item`, `line_items`.
   */
  links?: Link[];
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
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
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The amount before tax.
 */
export interface Money7 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The tax.
 */
export interface Money8 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The amount that is not paid yet.
 */
export interface Money9 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The price of one unit, before tax.
 */
export interface Money10 {
  /**
   * The amount in major units: a decimal, as a string.
   */
  amount?: string;
  /**
   * The amount in minor units, such as cents.
   */
  minor_units?: number;
  /**
   * The currency: ISO 4217, or as the provider wrote it.
   */
  currency?: string;
}
/**
 * The data of `message.*`.
 */
export interface MessageData {
  /**
   * The provider's id.
   */
  message_id?: string;
  /**
   * The id of the conversation.
   */
  conversation_id?: string;
  /**
   * The direction.
   */
  direction?: "inbound" | "outbound";
  /**
   * `SMS`, `MMS`, `text`, …
   */
  kind?: string;
  /**
   * `webchat`, `phone`, …
   */
  channel?: string;
  from?: Party4;
  to?: Party5;
  /**
   * The type of the sender: `contact`, …
   */
  sender_kind?: string;
  /**
   * The text.
   */
  content?: string;
  /**
   * The attached media, as written.
   */
  media?: {
    [k: string]: unknown;
  };
  /**
   * The state of the delivery, in the provider's word.
   */
  status?: string;
  /**
   * The time of sending.
   */
  sent_at?: string;
  /**
   * The time of receipt by the provider.
   */
  received_at?: string;
  /**
   * The time of the last state of the delivery.
   */
  delivered_at?: string;
  cost?: Cost1;
  /**
   * A label of a group of messages.
   */
  tag?: string;
  /**
   * The error, in the provider's words.
   */
  error?: string;
  /**
   * The marketing attribution of the sender, as written.
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
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * The recipient.
 */
export interface Party5 {
  /**
   * The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
   */
  raw?: string;
  /**
   * The number with `+`, if `raw` is unambiguously an E.164 number.
   */
  e164?: string;
  /**
   * The party's name.
   */
  name?: string;
}
/**
 * The cost.
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
   * The provider's id.
   */
  scheduling_id?: string;
  /**
   * The name or title.
   */
  name?: string;
  /**
   * The status, in the provider's word.
   */
  status?: string;
  /**
   * A free-text description.
   */
  description?: string;
  /**
   * The time of the start.
   */
  starts_at?: string;
  /**
   * The time of the end.
   */
  ends_at?: string;
  /**
   * A slot's day, as the provider wrote it.
   */
  date?: string;
  /**
   * A slot's time zone.
   */
  timezone?: string;
  /**
   * The duration in minutes, as the provider sends it.
   */
  duration_minutes?: number;
  /**
   * The durations that an event type offers, in minutes, as written.
   */
  durations?: {
    [k: string]: unknown;
  };
  /**
   * The questions of an event type, as written.
   */
  questions?: {
    [k: string]: unknown;
  };
  /**
   * The answers of a booked event, as written.
   */
  answers?: {
    [k: string]: unknown;
  };
  /**
   * The address of the booking page.
   */
  scheduling_url?: string;
  /**
   * Related objects by role.
   */
  links?: Link[];
  /**
   * The external attendees, as written.
   */
  external_attendees?: {
    [k: string]: unknown;
  };
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
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
   * The provider's id.
   */
  widget_id?: string;
  /**
   * The user who opened the card, as written.
   */
  triggered_by?: {
    [k: string]: unknown;
  };
  /**
   * The objects on the card, by role.
   */
  links?: Link[];
  /**
   * The time of creation.
   */
  created_at?: string;
  /**
   * The time of the last change.
   */
  updated_at?: string;
  /**
   * Every leaf of the webhook that no other field holds, under its own path, as the provider wrote it.
   */
  unmapped?: {
    [k: string]: unknown;
  };
}
