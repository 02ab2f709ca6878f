//! Invoices, the items that can be billed, and the lines of an invoice.

use super::resource::{Fact, Head, links, people};
use crate::core::{
    events::data::{Data, InvoiceData, InvoiceStatus, Money, Role, Text},
    json::{Object, Raw},
};

pub(super) const INVOICE: &[&str] = &[
    "invoiceCode",
    "status",
    "currency",
    "preTaxAmount",
    "taxAmount",
    "totalAmount",
    "inclusiveOfTax",
    "balance",
    "customerContact",
    "customerCompany",
    "issuedAt",
    "dueAt",
    "paidAt",
    "lineItems",
    "note",
];

pub(super) const ITEM: &[&str] = &["name", "description", "code", "price", "currency"];

pub(super) const LINE_ITEM: &[&str] =
    &["invoice", "item", "description", "pricePerUnit", "quantity", "totalAmount"];

const STATUSES: &[(&str, InvoiceStatus)] = &[
    ("draft", InvoiceStatus::Draft),
    ("pending", InvoiceStatus::Pending),
    ("overdue", InvoiceStatus::Overdue),
    ("paid", InvoiceStatus::Paid),
    ("void", InvoiceStatus::Void),
];

/// Takes the amounts under `keys`, all in the same currency. A currency without any amount says nothing, and
/// stays.
pub(super) fn amounts<'a, const N: usize>(
    fields: &mut Object<'a>,
    keys: [&str; N],
) -> [Option<Money<'a>>; N] {
    let amounts = keys.map(|key| fields.decimal(key));
    let currency: Option<Text<'a>> = if amounts.iter().any(Option::is_some) {
        fields.text("currency")
    } else {
        fields.leave("currency", Raw::filled_text).and(None)
    };
    amounts.map(|amount| Some(Money::new(amount?, currency.clone())))
}

pub(super) fn invoice<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let roles = [("customerCompany", "company"), ("lineItems", "line_items")];
    let status = fields.word("status", STATUSES);
    let [total, pre_tax, tax, balance] =
        amounts(fields, ["totalAmount", "preTaxAmount", "taxAmount", "balance"]);
    let data = InvoiceData {
        code: fields.id("invoiceCode"),
        status: status.known,
        status_raw: status.raw,
        description: fields.scalar("note"),
        total,
        pre_tax,
        tax,
        tax_included: fields.boolean("inclusiveOfTax"),
        balance,
        issued_at: fields.time("issuedAt"),
        due_at: fields.time("dueAt"),
        paid_at: fields.time("paidAt"),
        participants: people(fields, &[("customerContact", Role::Customer)]),
        links: links(fields, &roles),
        ..InvoiceData::default()
    };
    fact(head, data)
}

pub(super) fn item<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let [unit_price] = amounts(fields, ["price"]);
    let data = InvoiceData {
        code: fields.id("code"),
        name: fields.text("name"),
        description: fields.scalar("description"),
        unit_price,
        ..InvoiceData::default()
    };
    fact(head, data)
}

pub(super) fn line_item<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let [total, unit_price] = amounts(fields, ["totalAmount", "pricePerUnit"]);
    let data = InvoiceData {
        description: fields.scalar("description"),
        total,
        unit_price,
        quantity: fields.decimal("quantity"),
        links: links(fields, &[("invoice", "invoice"), ("item", "item")]),
        ..InvoiceData::default()
    };
    fact(head, data)
}

fn fact<'a>(head: &Head<'a>, data: InvoiceData<'a>) -> Fact<'a> {
    let data = InvoiceData {
        record_id: Some(head.id.clone()),
        created_at: head.created_at,
        updated_at: head.updated_at,
        ..data
    };
    Fact::new(head, Data::Invoice(Box::new(data)))
}
