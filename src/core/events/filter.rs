//! Filters of subscriptions: what a pattern of the routing key cannot say.

use super::{
    data::{Data, Direction},
    event::Event,
};

/// What a subscription asks of the events that match one of its patterns. What is not set is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether the provider marks the event as a test.
    pub test: Option<bool>,
    /// The direction of the call or message. An event without one does not pass.
    pub direction: Option<Direction>,
    /// The tenant. An event without one does not pass.
    pub tenant: Option<String>,
    /// The connector. An event without one does not pass.
    pub connector: Option<String>,
}

impl Filter {
    /// Returns whether every event passes, since nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether an event passes.
    pub fn accepts(&self, event: &Event<'_>) -> bool {
        let Self { test, direction, tenant, connector } = self;
        let is = |asked: &Option<String>, found: Option<&str>| asked.is_none() || asked.as_deref() == found;
        test.is_none_or(|test| test == event.test)
            && (direction.is_none() || *direction == direction_of(&event.data))
            && is(tenant, event.tenant.as_deref())
            && is(connector, event.connector.as_deref())
    }
}

fn direction_of(data: &Data<'_>) -> Option<Direction> {
    match data {
        Data::Call(call) => call.direction,
        Data::Transcript(transcript) => transcript.direction,
        Data::Message(message) => message.direction,
        Data::Record(record) => record.direction,
        Data::Conversation(_)
        | Data::Contact(_)
        | Data::Invoice(_)
        | Data::Scheduling(_)
        | Data::Widget(_)
        | Data::Empty {} => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::events::{data::CallData, event::EventType};

    #[test]
    fn an_event_passes_if_it_is_all_that_is_asked() {
        let call = CallData { direction: Some(Direction::Inbound), ..CallData::default() };
        let call = Event {
            tenant: Some("acme".into()),
            ..Event::new(EventType::CallEnded, "call/1".to_owned(), "x", Data::Call(Box::new(call)))
        };
        let ping = Event::new(EventType::SourcePing, "webhook/1".to_owned(), "x", Data::Empty {});
        let none = Filter::default();
        assert!(none.is_empty() && none.accepts(&call) && none.accepts(&ping));
        let inbound = Filter { direction: Some(Direction::Inbound), ..none.clone() };
        assert!(!inbound.is_empty() && inbound.accepts(&call) && !inbound.accepts(&ping));
        assert!(!Filter { direction: Some(Direction::Outbound), ..none.clone() }.accepts(&call));
        let acme = Filter { tenant: Some("acme".to_owned()), ..inbound };
        assert!(acme.accepts(&call));
        assert!(!Filter { test: Some(true), ..acme.clone() }.accepts(&call));
        assert!(Filter { test: Some(false), ..acme.clone() }.accepts(&call));
        assert!(!Filter { connector: Some("hubspot".to_owned()), ..acme }.accepts(&call));
    }
}
