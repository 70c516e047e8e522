//! Which keys a native plan file may have where, and what was probably meant by another one.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::file;
use crate::report::Report;

/// How unlike a known key may be that is suggested: typos, rather than other words.
const SIMILAR: f64 = 0.7;

/// The schema of plan files, as a list of known keys.
pub(super) struct Keys(Value);

impl Keys {
    /// Takes them from the types, so that there is one list of them.
    pub(super) fn of_plan_files() -> Self {
        Self(file::schema().to_value())
    }

    /// Reports each unknown key, and takes it out: what is left is looked at as if it were not there.
    pub(super) fn check(&self, plan: &mut DeTable<'_>, report: &mut Report<'_>) {
        self.check_table(plan, &self.0, "plan", report);
    }

    fn check_table(&self, table: &mut DeTable<'_>, schema: &Value, what: &str, report: &mut Report<'_>) {
        let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
        let mut unknown = Vec::new();
        for (key, value) in table.iter_mut() {
            let at = key.span().start;
            let key: &str = key.get_ref();
            match known.get(key) {
                Some(below) => self.check_value(value, below, key, report),
                None => {
                    report.error(at, format!("a {what} has no key `{key}`"), suggestion(key, known.keys()));
                    unknown.push(key.to_owned());
                }
            }
        }
        for key in unknown {
            table.remove(key.as_str());
        }
    }

    fn check_value(
        &self,
        value: &mut Spanned<DeValue<'_>>,
        schema: &Value,
        what: &str,
        report: &mut Report<'_>,
    ) {
        match value.get_mut() {
            DeValue::Table(table) => self.check_table(table, self.table_schema(schema), what, report),
            DeValue::Array(list) => {
                let schema = schema.get("items").unwrap_or(schema);
                for value in list.iter_mut() {
                    self.check_value(value, schema, what, report);
                }
            }
            _ => {}
        }
    }

    /// Follows a reference to the schema of a table, also out of an alternative of it and `null`.
    fn table_schema<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let schema = schema.get("anyOf").and_then(|any| any.get(0)).unwrap_or(schema);
        let path = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        path.and_then(|path| self.0.pointer(path)).unwrap_or(schema)
    }
}

/// What may have been meant.
fn suggestion<'a>(key: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    let similarity = |known: &str| strsim::jaro_winkler(known, &key.to_lowercase());
    let closest = known.clone().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match closest.filter(|known| similarity(known) >= SIMILAR) {
        Some(closest) => format!("Did you mean `{closest}`?"),
        None => {
            let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
            format!("Known are {}.", known.join(", "))
        }
    }
}
