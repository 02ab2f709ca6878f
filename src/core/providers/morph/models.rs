//! The models of the unified API, and what each becomes.

use super::{
    accounting, crm,
    resource::{Action, Fact, Head},
    scheduling, telephony,
};
use crate::core::{events::event::EventType as E, json::Object};

/// One model of the unified API.
pub(super) struct Model {
    name: &'static str,
    /// The event types for created, updated and deleted.
    pub(super) kinds: [E; 3],
    /// The documented fields. Any other key under `fields` may be a customer's custom field.
    pub(super) fields: &'static [&'static str],
    /// Reads the fields.
    pub(super) read: for<'a> fn(&Head<'a>, &mut Object<'a>) -> Fact<'a>,
}

const MODELS: &[Model] = &[
    Model {
        name: "genericContact",
        kinds: [E::ContactCreated, E::ContactUpdated, E::ContactDeleted],
        fields: &["firstName", "lastName", "email", "phone", "companyName"],
        read: crm::contact,
    },
    Model {
        name: "genericCompany",
        kinds: [E::CompanyCreated, E::CompanyUpdated, E::CompanyDeleted],
        fields: &["name"],
        read: crm::named,
    },
    Model {
        name: "genericUser",
        kinds: [E::UserCreated, E::UserUpdated, E::UserDeleted],
        fields: &["firstName", "lastName", "email"],
        read: crm::user,
    },
    Model {
        name: "genericWorkspace",
        kinds: [E::WorkspaceCreated, E::WorkspaceUpdated, E::WorkspaceDeleted],
        fields: &["name"],
        read: crm::named,
    },
    Model {
        name: "crmOpportunity",
        kinds: [E::OpportunityCreated, E::OpportunityUpdated, E::OpportunityDeleted],
        fields: crm::OPPORTUNITY,
        read: crm::opportunity,
    },
    Model {
        name: "crmPipeline",
        kinds: [E::PipelineCreated, E::PipelineUpdated, E::PipelineDeleted],
        fields: &["name", "stages"],
        read: crm::pipeline,
    },
    Model {
        name: "crmStage",
        kinds: [E::StageCreated, E::StageUpdated, E::StageDeleted],
        fields: &["name", "type", "pipeline"],
        read: crm::stage,
    },
    Model {
        name: "crmEngagement",
        kinds: [E::EngagementCreated, E::EngagementUpdated, E::EngagementDeleted],
        fields: crm::ENGAGEMENT,
        read: crm::engagement,
    },
    Model {
        name: "accountingInvoice",
        kinds: [E::InvoiceCreated, E::InvoiceUpdated, E::InvoiceDeleted],
        fields: accounting::INVOICE,
        read: accounting::invoice,
    },
    Model {
        name: "accountingInvoiceItem",
        kinds: [E::InvoiceItemCreated, E::InvoiceItemUpdated, E::InvoiceItemDeleted],
        fields: accounting::ITEM,
        read: accounting::item,
    },
    Model {
        name: "accountingInvoiceLineItem",
        kinds: [E::InvoiceLineItemCreated, E::InvoiceLineItemUpdated, E::InvoiceLineItemDeleted],
        fields: accounting::LINE_ITEM,
        read: accounting::line_item,
    },
    Model {
        name: "schedulingEventType",
        kinds: [E::SchedulingEventTypeCreated, E::SchedulingEventTypeUpdated, E::SchedulingEventTypeDeleted],
        fields: scheduling::EVENT_TYPE,
        read: scheduling::event_type,
    },
    Model {
        name: "schedulingSlot",
        kinds: [E::SchedulingSlotCreated, E::SchedulingSlotUpdated, E::SchedulingSlotDeleted],
        fields: scheduling::SLOT,
        read: scheduling::slot,
    },
    Model {
        name: "schedulingEvent",
        kinds: [E::SchedulingEventCreated, E::SchedulingEventUpdated, E::SchedulingEventDeleted],
        fields: scheduling::EVENT,
        read: scheduling::event,
    },
    Model {
        name: "telephonyCall",
        kinds: [E::CallInitiated, E::CallUpdated, E::CallDeleted],
        fields: telephony::CALL,
        read: telephony::call,
    },
    Model {
        name: "telephonyCallTranscript",
        kinds: [E::TranscriptCompleted, E::TranscriptUpdated, E::TranscriptDeleted],
        fields: telephony::TRANSCRIPT,
        read: telephony::transcript,
    },
    Model {
        name: "widgetCardView",
        kinds: [E::WidgetCardViewCreated, E::WidgetCardViewUpdated, E::WidgetCardViewDeleted],
        fields: scheduling::CARD_VIEW,
        read: scheduling::card_view,
    },
];

/// Parses an event's name, `<model>::<action>`.
pub(super) fn parse_name(name: &str) -> Option<(&'static Model, Action)> {
    let (model, action) = name.split_once("::")?;
    let action = match action {
        "created" => Action::Created,
        "updated" => Action::Updated,
        "deleted" => Action::Deleted,
        _ => return None,
    };
    Some((MODELS.iter().find(|known| known.name == model)?, action))
}
