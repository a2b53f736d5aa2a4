//! What every Kubernetes API has in common, without any kind of its own and without I/O: values, schemas, patches,
//! server-side apply, selectors, quantities, names, times and `Status`.

pub mod schema;
pub mod status;
pub mod value;

pub use status::Status;
pub use value::{Object, Value};
