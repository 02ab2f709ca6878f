//! Amounts of money: one shape for all of them.

use super::parts::Text;
use crate::core::json::json_object;

json_object! {
    /// An amount of money.
    #[derive(Clone, Debug)]
    pub struct Money<'a> {
        /// The amount in major units, such as dollars: a decimal as a string, to the provider's last digit.
        #[holds(Figure)]
        pub amount: Text<'a>,
        /// The currency, an ISO 4217 code or as the provider wrote it, absent where it says none.
        #[holds(Id)]
        pub currency: Option<Text<'a>>,
        /// The same amount as an integer in minor units, such as cents, where the provider sends those.
        pub minor_units: Option<i64>,
    }
}

impl<'a> Money<'a> {
    /// Creates an amount in major units.
    pub fn new(amount: Text<'a>, currency: Option<Text<'a>>) -> Self {
        Self { amount, currency, minor_units: None }
    }

    /// Creates an amount that the provider sends in hundredths, without a currency.
    pub fn of_cents(cents: i64) -> Self {
        let (sign, size) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
        let amount = format!("{sign}{}.{:02}", size / 100, size % 100);
        Self { amount: amount.into(), currency: None, minor_units: Some(cents) }
    }
}

json_object! {
    /// The cost of a call or a message.
    #[derive(Clone, Debug, Default)]
    pub struct Cost<'a> {
        /// The total cost.
        pub total: Option<Money<'a>>,
        /// The cost per minute.
        pub per_minute: Option<Money<'a>>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_a_decimal_in_major_units_too() {
        for (cents, amount) in [
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (250_000, "2500.00"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            let money = Money::of_cents(cents);
            assert_eq!((money.amount.as_ref(), money.minor_units), (amount, Some(cents)));
        }
    }
}
