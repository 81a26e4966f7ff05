//! Pages of lists: `{items, cursor?}`.

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl<T> List<T> {
    /// A list that fits on one page.
    pub(super) fn all(items: Vec<T>) -> Self {
        Self {
            items,
            cursor: None,
        }
    }
}
