//! The data of `invoice.*`.

use jiff::Timestamp;

use super::parts::{Link, Money, Text};
use crate::core::json::json_object;

json_object! {
    /// The data of `invoice.*`: invoices, the items that can be billed, and the lines of an invoice.
    #[derive(Clone, Debug, Default)]
    pub struct InvoiceData<'a> {
        /// The provider's id.
        pub record_id: Option<Text<'a>>,
        /// The number of an invoice, or the code of an item, as people know it.
        pub code: Option<Text<'a>>,
        /// The name of an item.
        pub name: Option<Text<'a>>,
        /// The status of an invoice, in the provider's word.
        pub status: Option<Text<'a>>,
        /// A free-text description or note.
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
        /// The number of units: a decimal, as a string.
        pub quantity: Option<Text<'a>>,
        /// The time of issue.
        pub issued_at: Option<Timestamp>,
        /// The time by which it must be paid.
        pub due_at: Option<Timestamp>,
        /// The time of payment.
        pub paid_at: Option<Timestamp>,
        /// Related objects by role: `contact`, `company`, `invoice`, `item`, `line_items`.
        pub links: Vec<Link<'a>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
