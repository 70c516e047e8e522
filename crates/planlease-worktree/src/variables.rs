//! The environment of git and its hooks.

use std::{ffi::OsString, sync::Arc};

/// Changes to the environment of git and its hooks; `None` removes a variable.
pub type Variables = Arc<[(OsString, Option<OsString>)]>;
