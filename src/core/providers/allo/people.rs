//! The people of a call or a message.

use super::fields::{any_of, names};
use crate::core::{
    events::data::{Direction, Participant, Party, Phone, Reference, Role, Side, full_name},
    json::{Object, Raw, present},
};

/// Takes the people: the person at the other side, those whose names come with their numbers, and the user
/// whose phone it is.
pub(super) fn people<'a>(
    data: &mut Object<'a>,
    direction: Option<Direction>,
    from: Option<&Party<'a>>,
    to: Option<&Party<'a>>,
) -> Vec<Participant<'a>> {
    let customer_side = direction.map(Side::of_customer);
    let person = person(data).and_then(|person| person.known(Some(Role::Customer), customer_side));
    let is_known = |side| person.is_some() && customer_side == Some(side);
    let named = [(Side::From, from), (Side::To, to)].map(|(side, party)| {
        let party = party.filter(|_| !is_known(side))?;
        Some(Participant {
            role: customer_side.map(|customer| if customer == side { Role::Customer } else { Role::Agent }),
            party: Some(side),
            name: Some(party.name.clone()?),
            phones: party.raw.clone().map(Phone::new).into_iter().collect(),
            ..Participant::default()
        })
    });
    let user = any_of(data, names::USER_EMAIL, Object::text).map(|email| Participant {
        role: Some(Role::Agent),
        party: direction.map(Side::of_agent),
        emails: vec![email],
        ..Participant::default()
    });
    person.into_iter().chain(named.into_iter().flatten()).chain(user).collect()
}

/// Takes the record of the person at the other side. The parts of the name stay, since they are joined.
fn person<'a>(data: &mut Object<'a>) -> Option<Participant<'a>> {
    let mut person = data.object("person")?;
    let first = person.leave("name", Raw::filled_text);
    let last = names::LAST_NAME.iter().find_map(|name| person.leave(name, Raw::filled_text));
    let found = Participant {
        reference: person.id("id").map(Reference::to_contact),
        name: full_name(first, last),
        emails: person.filled_scalars("emails").unwrap_or_default(),
        phones: person.filled_scalars("numbers").unwrap_or_default().into_iter().map(Phone::new).collect(),
        ..Participant::default()
    };
    data.keep("person", person);
    present(found)
}

/// Takes one end of a transfer: a user, or a number.
pub(super) fn end_of_transfer<'a>(data: &mut Object<'a>, names: names::Names) -> Option<Participant<'a>> {
    names.iter().find_map(|name| {
        let Some(mut end) = data.object(name) else {
            let phones = vec![Phone::new(data.id(name)?)];
            return Some(Participant { phones, ..Participant::default() });
        };
        let (email, user) = (
            any_of(&mut end, names::USER_EMAIL, Object::text),
            any_of(&mut end, names::USER_NAME, Object::text),
        );
        let found = Participant {
            role: (email.is_some() || user.is_some()).then_some(Role::Agent),
            name: user,
            emails: email.into_iter().collect(),
            phones: end.id("number").map(Phone::new).into_iter().collect(),
            ..Participant::default()
        };
        data.keep(name, end);
        present(found)
    })
}
