//! The data of `invoice.*`.

use jiff::Timestamp;

use super::{
    money::Money,
    parts::{Link, Text},
    person::Participant,
};
use crate::core::json::{json_object, json_words};

json_words! {
    /// The state of an invoice.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the words are self-explanatory")]
    pub enum InvoiceStatus {
        Draft = "draft",
        Pending = "pending",
        Overdue = "overdue",
        Paid = "paid",
        Void = "void",
    }
}

json_object! {
    /// The data of `invoice.*`: invoices, the items that can be billed, and the lines of an invoice.
    #[derive(Clone, Debug, Default)]
    pub struct InvoiceData<'a> {
        /// The record's id at the provider, an opaque string.
        #[holds(Id)]
        pub record_id: Option<Text<'a>>,
        /// The number of an invoice, or the code of an item, as people know it.
        #[holds(Id)]
        pub code: Option<Text<'a>>,
        /// The name of an item.
        #[holds(Name)]
        pub name: Option<Text<'a>>,
        /// The state of an invoice.
        pub status: Option<InvoiceStatus>,
        /// The state in the provider's own word.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// A free-text description or note.
        #[holds(Text)]
        pub description: Option<Text<'a>>,
        /// The total amount.
        pub total: Option<Money<'a>>,
        /// The amount before tax.
        pub pre_tax: Option<Money<'a>>,
        /// The tax.
        pub tax: Option<Money<'a>>,
        /// True if the amounts include tax.
        pub tax_included: Option<bool>,
        /// The amount that is not paid yet.
        pub balance: Option<Money<'a>>,
        /// The price of one unit, before tax.
        pub unit_price: Option<Money<'a>>,
        /// The number of units: a decimal as a string.
        #[holds(Figure)]
        pub quantity: Option<Text<'a>>,
        /// The time of issue, RFC 3339 in UTC.
        pub issued_at: Option<Timestamp>,
        /// The time by which it must be paid, RFC 3339 in UTC.
        pub due_at: Option<Timestamp>,
        /// The time of payment, RFC 3339 in UTC.
        pub paid_at: Option<Timestamp>,
        /// The people who get the invoice.
        pub participants: Vec<Participant<'a>>,
        /// Related objects that are no people, by role: `company`, `invoice`, `item`, `line_items`.
        pub links: Vec<Link<'a>>,
        /// The time at which the record was created at the provider, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the record's last change at the provider, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
