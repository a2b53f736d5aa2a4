//! Print columns of a custom resource: what its definition says, or its age.

use apimachinery::Value;

use super::jsonpath::JsonPath;
use crate::columns::{Column, Columns, Row, human_duration};
use crate::scalar;

/// One of `additionalPrinterColumns`.
#[derive(Clone, Debug)]
pub struct PrinterColumn {
    pub(crate) column: Column,
    path: Option<JsonPath>,
}

impl PrinterColumn {
    /// The columns of a version of a definition behind the name.
    pub(super) fn all(version: &Value) -> Vec<Self> {
        let given = version.array_at(&["additionalPrinterColumns"]);
        if given.is_empty() {
            let created = Columns::default().columns.pop().map(|c| c.description).unwrap_or_default();
            let column = Column {
                name: "Age".into(),
                kind: "date".into(),
                format: String::new(),
                description: created,
                priority: 0,
            };
            return vec![Self { column, path: JsonPath::parse(".metadata.creationTimestamp") }];
        }
        given.iter().map(Self::read).collect()
    }

    fn read(column: &Value) -> Self {
        let text = |key: &str| column.str_at(&[key]).unwrap_or_default().to_owned();
        let path = text("jsonPath");
        let description = match text("description") {
            empty if empty.is_empty() => {
                format!("Custom resource definition column (in JSONPath format): {path}")
            }
            own => own,
        };
        Self {
            path: JsonPath::parse(&path),
            column: Column {
                name: text("name"),
                kind: text("type"),
                format: text("format"),
                description,
                priority: column.i64_at(&["priority"]).unwrap_or(0),
            },
        }
    }

    fn cell(&self, object: &Value, now: i64) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.first(object)) else { return Value::NULL };
        match self.column.kind.as_str() {
            "string" => match value.as_str() {
                Some(text) => text.into(),
                None if value.is_null() => "".into(),
                None => value.to_json_string().into(),
            },
            "integer" => match value.as_f64() {
                Some(_) if !value.is_float() => value.clone(),
                #[allow(clippy::cast_possible_truncation, reason = "what Go's conversion does too")]
                Some(number) => (number as i64).into(),
                None => Value::NULL,
            },
            "number" if value.is_number() => value.clone(),
            "boolean" if value.as_bool().is_some() => value.clone(),
            "date" => match value.as_str().map(|text| scalar::parse_time(text, false)) {
                Some(Ok(moment)) => human_duration(now - moment.seconds).into(),
                Some(Err(_)) => "<invalid>".into(),
                None => Value::NULL,
            },
            _ => Value::NULL,
        }
    }
}

/// The row of an object: its name and a cell for each column.
pub(crate) fn row(columns: &[PrinterColumn], object: &Value, now: i64) -> Row {
    let name = object.at(&["metadata", "name"]).cloned().unwrap_or_default();
    let cells = std::iter::once(name).chain(columns.iter().map(|c| c.cell(object, now))).collect();
    Row { cells, conditions: Vec::new() }
}
