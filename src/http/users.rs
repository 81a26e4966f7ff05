//! Other people.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Problem, Result};
use super::list::List;
use crate::actors::Services;
use crate::db::{UserRecord, UserRole, UserStatus};
use crate::error::Error;
use crate::ids::UserId;
use crate::protocol::{check_text, page_size};

/// Longest text to search for, bytes.
const MAX_QUERY_BYTES: usize = 100;

/// A person, as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Person {
    #[schema(value_type = String)]
    id: UserId,
    /// What they are called; of an account that was given up nothing is left.
    name: String,
    /// What they sign in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    role: UserRole,
}

impl From<UserRecord> for Person {
    fn from(user: UserRecord) -> Self {
        Self {
            id: user.id,
            name: user.name,
            username: user.username,
            role: user.role,
        }
    }
}

/// Whom to look for: one of the two.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// A part of the name or username.
    q: Option<String>,
    /// What tokens call the person, exactly.
    sub: Option<String>,
    /// At most so many, 1 to 200; 50 if it is left out.
    limit: Option<usize>,
}

/// One person.
#[utoipa::path(get, path = "/v1/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = Person)))]
pub(super) async fn get(services: web::Data<Services>, user: web::Path<UserId>) -> Result {
    let user = user.into_inner();
    let record = services.db.run(move |store| store.user(user)).await?;
    let record = record.ok_or(Problem::NotFound)?;
    Ok(HttpResponse::Ok().json(Person::from(record)))
}

/// People by name, or the one whom tokens call so.
#[utoipa::path(get, path = "/v1/users", tag = "people", params(Search),
    responses((status = 200, body = List<Person>)))]
pub(super) async fn search(services: web::Data<Services>, search: web::Query<Search>) -> Result {
    let limit = page_size(search.limit)?;
    let found = match search.into_inner() {
        Search {
            q: Some(q),
            sub: None,
            ..
        } => {
            check_text(&q, "q", MAX_QUERY_BYTES)?;
            services
                .db
                .run(move |store| store.search_users(&q, limit))
                .await?
        }
        Search {
            q: None,
            sub: Some(sub),
            ..
        } => {
            check_text(&sub, "sub", MAX_QUERY_BYTES * 4)?;
            let found = services
                .db
                .run(move |store| store.user_by_sub(&sub))
                .await?;
            let active = |user: &UserRecord| user.status == UserStatus::Active;
            found.into_iter().filter(active).collect()
        }
        _ => return Err(Error::bad_field("give either q or sub").into()),
    };
    let items = found.into_iter().map(Person::from).collect();
    Ok(HttpResponse::Ok().json(List::all(items)))
}
