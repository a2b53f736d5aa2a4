//! What every Kubernetes API has in common, without any kind of its own and without I/O: values, schemas, patches,
//! server-side apply, selectors, quantities, names, times and `Status`.

pub mod apply;
pub mod go;
pub mod intstr;
pub mod meta;
pub mod names;
pub mod patch;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
#[cfg(test)]
mod testing;
pub mod time;
pub mod value;

pub use quantity::Quantity;
pub use selector::{FieldSelector, Selector};
pub use status::{FieldError, Path, Status};
pub use value::{Object, ParseError, ParseOptions, Parsed, Value, from_value, to_value};
