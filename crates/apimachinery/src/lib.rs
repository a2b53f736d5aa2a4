//! What every Kubernetes API has in common, without any kind of its own and without I/O: values, schemas, patches,
//! server-side apply, selectors, quantities, names, times and `Status`.

pub mod go;
pub mod schema;
pub mod status;
pub mod value;

pub use status::Status;
pub use value::{Object, ParseError, ParseOptions, Parsed, Value, from_value, to_value};
