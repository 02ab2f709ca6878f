//! One normalized fact, before it is written as a CloudEvent.

use std::borrow::Cow;

use jiff::Timestamp;

use super::data::{CallStatus, Data};
use crate::core::json::Value;

/// One normalized fact. A webhook yields one or more, in the order of publishing.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The event's type.
    pub kind: EventType,
    /// The subject: `call/<id>`, `contact/<id>`, … The id is percent-encoded when it is written.
    pub subject: String,
    /// The time of the event at the provider. If the provider sends none, the time of receipt is published.
    pub time: Option<Timestamp>,
    /// The provider's own name for the event.
    pub provider_event: Cow<'a, str>,
    /// True if the provider marks the event as a test.
    pub test: bool,
    /// The tenant, where one source serves several.
    pub tenant: Option<Cow<'a, str>>,
    /// The system behind a unified API, where a source serves several: the ids of two systems may be equal.
    pub connector: Option<Cow<'a, str>>,
    /// The typed fields of the event's family.
    pub data: Data<'a>,
    /// Every leaf of the payload that no typed field holds, under its own path.
    pub unmapped: Value<'a>,
}

/// Returns the subject of what has this id: `<family>/<id>`.
pub fn subject_of(family: &str, id: &str) -> String {
    [family, "/", id].concat()
}

impl<'a> Event<'a> {
    /// Creates an event that tells nothing but what it is: no time, tenant or connector, no test, nothing
    /// unmapped.
    pub fn new(
        kind: EventType,
        subject: String,
        provider_event: impl Into<Cow<'a, str>>,
        data: Data<'a>,
    ) -> Self {
        Self {
            kind,
            subject,
            time: None,
            provider_event: provider_event.into(),
            test: false,
            tenant: None,
            connector: None,
            data,
            unmapped: Value::default(),
        }
    }
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The closed list of event types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $(#[doc = concat!("`", $name, "`")] $(#[$doc])* $variant,)*
        }

        impl EventType {
            /// Every type, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the type's name, the first part of the routing key.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

event_types! {
    CallScheduled = "call.scheduled",
    CallInitiated = "call.initiated",
    CallRinging = "call.ringing",
    CallEarlyMedia = "call.early_media",
    CallAnswered = "call.answered",
    CallTransferred = "call.transferred",
    CallEnded = "call.ended",
    CallUpdated = "call.updated",
    CallDeleted = "call.deleted",
    CallMedia = "call.media",
    CallRecordingAvailable = "call.recording.available",
    CallInput = "call.input",
    CallOutcomeTagged = "call.outcome_tagged",
    CallTagged = "call.tagged",
    CallUntagged = "call.untagged",
    CallCostReported = "call.cost_reported",
    CallError = "call.error",
    TranscriptPartial = "call.transcript.partial",
    TranscriptCompleted = "call.transcript.completed",
    TranscriptUpdated = "call.transcript.updated",
    TranscriptFailed = "call.transcript.failed",
    TranscriptDeleted = "call.transcript.deleted",
    MessageReceived = "message.received",
    MessageSent = "message.sent",
    MessageDeliveryReported = "message.delivery_reported",
    ConversationCreated = "conversation.created",
    ConversationResolved = "conversation.resolved",
    ConversationClosed = "conversation.closed",
    ContactCreated = "contact.created",
    ContactUpdated = "contact.updated",
    ContactDeleted = "contact.deleted",
    CompanyCreated = "company.created",
    CompanyUpdated = "company.updated",
    CompanyDeleted = "company.deleted",
    UserCreated = "user.created",
    UserUpdated = "user.updated",
    UserDeleted = "user.deleted",
    WorkspaceCreated = "workspace.created",
    WorkspaceUpdated = "workspace.updated",
    WorkspaceDeleted = "workspace.deleted",
    OpportunityCreated = "opportunity.created",
    OpportunityUpdated = "opportunity.updated",
    OpportunityDeleted = "opportunity.deleted",
    PipelineCreated = "pipeline.created",
    PipelineUpdated = "pipeline.updated",
    PipelineDeleted = "pipeline.deleted",
    StageCreated = "stage.created",
    StageUpdated = "stage.updated",
    StageDeleted = "stage.deleted",
    EngagementCreated = "engagement.created",
    EngagementUpdated = "engagement.updated",
    EngagementDeleted = "engagement.deleted",
    InvoiceCreated = "invoice.created",
    InvoiceUpdated = "invoice.updated",
    InvoiceDeleted = "invoice.deleted",
    InvoiceItemCreated = "invoice.item.created",
    InvoiceItemUpdated = "invoice.item.updated",
    InvoiceItemDeleted = "invoice.item.deleted",
    InvoiceLineItemCreated = "invoice.line_item.created",
    InvoiceLineItemUpdated = "invoice.line_item.updated",
    InvoiceLineItemDeleted = "invoice.line_item.deleted",
    SchedulingEventTypeCreated = "scheduling.event_type.created",
    SchedulingEventTypeUpdated = "scheduling.event_type.updated",
    SchedulingEventTypeDeleted = "scheduling.event_type.deleted",
    SchedulingSlotCreated = "scheduling.slot.created",
    SchedulingSlotUpdated = "scheduling.slot.updated",
    SchedulingSlotDeleted = "scheduling.slot.deleted",
    SchedulingEventCreated = "scheduling.event.created",
    SchedulingEventUpdated = "scheduling.event.updated",
    SchedulingEventDeleted = "scheduling.event.deleted",
    WidgetCardViewCreated = "widget.card_view.created",
    WidgetCardViewUpdated = "widget.card_view.updated",
    WidgetCardViewDeleted = "widget.card_view.deleted",
    /// A provider's test button or health ping.
    SourcePing = "source.ping",
    /// An event of unknown type from a source that passes such events on.
    ProviderUnmapped = "provider.unmapped",
}

/// The types that say in which state a call is.
const CALL_STATES: [(EventType, CallStatus); 6] = [
    (EventType::CallScheduled, CallStatus::Scheduled),
    (EventType::CallInitiated, CallStatus::Initiated),
    (EventType::CallRinging, CallStatus::Ringing),
    (EventType::CallEarlyMedia, CallStatus::Ringing),
    (EventType::CallAnswered, CallStatus::InProgress),
    (EventType::CallEnded, CallStatus::Ended),
];

impl EventType {
    /// Returns the state of a call that follows from the type; none for a type that is about a call in any
    /// state.
    pub fn call_status(self) -> Option<CallStatus> {
        CALL_STATES.iter().find(|(kind, _)| *kind == self).map(|(_, status)| *status)
    }
}
