//! What a task may use up over all of its attempts, and what it has used up: starts, and an amount that its
//! agent reports, such as money or tokens.
//!
//! The bounds of the present attempt stand in the record since its start, so that a report is decided on the
//! record alone. The time that a task may take in all is another bound, `total_deadline_s`: it is measured
//! by the plan's owners ([`crate::overdue`]).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{counted::counted, extra::Extra};

/// How many parts a unit of an [`Amount`] has.
const PARTS: u64 = 1_000_000;

/// How many decimal places that are.
const PLACES: usize = 6;

/// [`MAX_AMOUNT`] as a number.
const MAX_NUMBER: f64 = 1e9;

/// The largest amount, in units: a million parts of each are far within what a JSON number holds exactly.
pub const MAX_AMOUNT: u64 = 1_000_000_000;

/// An amount that an agent reports, such as money or tokens; in millionths of a unit, from 0 to
/// [`MAX_AMOUNT`] units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

/// A text or a number that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount: a number from 0 to {MAX_AMOUNT}, with at most {PLACES} decimal places")]
pub struct NotAnAmount(String);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many millionths of a unit, or the largest amount.
    #[must_use]
    pub const fn of_millionths(millionths: u64) -> Self {
        if millionths > MAX_AMOUNT * PARTS { Self(MAX_AMOUNT * PARTS) } else { Self(millionths) }
    }

    /// In millionths of a unit.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The sum, or the largest amount.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::of_millionths(self.0.saturating_add(other.0))
    }

    /// Of a number as JSON and TOML have it, rounded to millionths: sums of binary fractions have more
    /// places than was meant.
    ///
    /// # Errors
    /// [`NotAnAmount`] if it is negative, too large, or no number.
    pub fn of_number(number: f64) -> Result<Self, NotAnAmount> {
        // The comparison is false for what is no number.
        if !(0.0..=MAX_NUMBER).contains(&number) {
            return Err(NotAnAmount(number.to_string()));
        }
        format!("{number:.PLACES$}").parse()
    }
}

impl FromStr for Amount {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount(crate::codec::shorten(text, 80));
        let (units, places) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(units) || !is_number(places) || places.len() > PLACES {
            return Err(wrong());
        }
        let units: u64 = units.parse().map_err(|_| wrong())?;
        let parts: u64 = format!("{places:0<PLACES$}").parse().map_err(|_| wrong())?;
        let millionths = units.checked_mul(PARTS).and_then(|millionths| millionths.checked_add(parts));
        millionths.filter(|millionths| *millionths <= MAX_AMOUNT * PARTS).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, parts) = (self.0 / PARTS, self.0 % PARTS);
        if parts == 0 {
            return write!(f, "{units}");
        }
        let places = format!("{parts:0>PLACES$}");
        write!(f, "{units}.{}", places.trim_end_matches('0'))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(PARTS) {
            return serializer.serialize_u64(self.0 / PARTS);
        }
        // Exact to the millionth: the largest amount has 15 digits.
        let number = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from 0 to {MAX_AMOUNT}")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                Amount::of_number(number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": MAX_AMOUNT })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// What a task has used up of its budget, and the bounds of its present attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How often the task may be started (the policy's `max_attempts` at its last start); 0 for any number.
    #[serde(default)]
    pub max_attempts: u32,
    /// How much it may spend (the policy's `budget` at its last start); 0 for any amount.
    #[serde(default)]
    pub budget: Amount,
    /// How many attempts do not count: those before a person put the task back.
    #[serde(default)]
    pub attempts_before: u32,
    /// What the attempts before the present one spent, since then.
    #[serde(default)]
    pub spent_before: Amount,
    /// What the present attempt has spent, as it was reported last.
    #[serde(default)]
    pub spent: Amount,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Budget {
    /// What all attempts that count have spent.
    #[must_use]
    pub const fn spent_in_all(&self) -> Amount {
        self.spent_before.plus(self.spent)
    }

    /// Why the present attempt must not go on, if more is spent than may be: what its budget says.
    #[must_use]
    pub fn exceeded(&self) -> Option<String> {
        let spent = self.spent_in_all();
        (!self.budget.is_zero() && spent > self.budget).then(|| format!("spent {spent} of {}", self.budget))
    }

    /// Why no further attempt may start, if nothing is left for one.
    #[must_use]
    pub fn used_up(&self, attempt: u32) -> Option<String> {
        let started = attempt.saturating_sub(self.attempts_before);
        if self.max_attempts > 0 && started >= self.max_attempts {
            let max = self.max_attempts;
            return Some(format!("started {} (max_attempts = {max})", counted(started, "time")));
        }
        let spent = self.spent_in_all();
        (!self.budget.is_zero() && spent >= self.budget)
            .then(|| format!("spent {spent} of {} (budget)", self.budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_and_bounded() {
        for (text, millionths) in [
            ("0", 0),
            ("12.5", 12_500_000),
            ("0.000001", 1),
            ("007", 7_000_000),
            ("1000000000", 1_000_000_000_000_000),
            ("999999999.999999", 999_999_999_999_999),
        ] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.millionths(), millionths, "{text}");
            assert_eq!(amount.to_string().parse(), Ok(amount));
            let json = serde_json::to_string(&amount).unwrap();
            assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount, "{json}");
        }
        for text in
            ["", ".5", "5.", "-1", "+1", "1e3", "NaN", "inf", " 1", "0.0000001", "1000000000.1", "1,5"]
        {
            let error = text.parse::<Amount>().unwrap_err().to_string();
            assert!(error.contains("is not an amount"), "{error}");
        }
        assert!("9".repeat(200).parse::<Amount>().is_err());
    }

    #[test]
    fn a_number_is_rounded_and_nonsense_is_refused() {
        assert_eq!(Amount::of_number(0.1 + 0.2).unwrap(), "0.3".parse().unwrap());
        assert_eq!(Amount::of_number(1e9).unwrap().millionths(), MAX_AMOUNT * PARTS);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, 1e9 + 1.0, 1e300] {
            assert!(Amount::of_number(number).is_err(), "{number}");
        }
        for json in ["-1", "-0.5", "1e10", "18446744073709551615", "\"5\"", "null", "[1]"] {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_sum_does_not_overflow() {
        let most = Amount::of_millionths(u64::MAX);
        assert_eq!(most.plus(most), most);
    }
}
