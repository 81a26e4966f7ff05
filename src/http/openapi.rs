//! The description of REST, made from the types and the list of routes.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::error::Document;
use super::routes::routes;
use super::{
    admin, auth, common, config, explain, export, health, inbox, me, members, messages, nodes,
    rooms, users,
};

/// What tokens are called in the document.
const BEARER: &str = "token";

/// `/openapi.json`
#[derive(OpenApi)]
#[openapi(
    info(
        title = "madang",
        description = "Chat over REST. The live side, the rules and the codes: docs/PROTOCOL.md."
    ),
    paths(
        auth::sign_up, auth::guest, auth::sign_in, auth::refresh, auth::sign_out,
        me::get, me::change, me::resign, me::logins, me::end_login, me::end_all_logins,
        inbox::get, export::get, users::get, users::search,
        rooms::make, rooms::direct, rooms::list, rooms::get, rooms::change, rooms::close,
        rooms::join, rooms::leave, members::list, members::put, members::remove,
        messages::list, messages::events, messages::count, messages::publish, messages::read,
        messages::unread, common::get, admin::suspend, admin::lift,
        config::get, config::put, nodes::list, nodes::drain, explain::explain,
        health::healthz, health::readyz, health::metrics,
    ),
    components(schemas(Document)),
    modifiers(&FromRoutes),
)]
pub struct Description;

/// Adds to every operation who may call it, and how it refuses.
struct FromRoutes;

impl Modify for FromRoutes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT");
        if let Some(components) = &mut openapi.components {
            components.add_security_scheme(BEARER, SecurityScheme::Http(scheme.build()));
        }
        let problem = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let refusal = ResponseBuilder::new()
            .description("Refused, and why")
            .content("application/problem+json", problem)
            .build();
        for endpoint in routes() {
            let Some(item) = openapi.paths.paths.get_mut(endpoint.path) else {
                continue;
            };
            let operations = [
                ("GET", &mut item.get),
                ("POST", &mut item.post),
                ("PUT", &mut item.put),
                ("PATCH", &mut item.patch),
                ("DELETE", &mut item.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation.as_mut().filter(|_| endpoint.method == method)
                else {
                    continue;
                };
                let refusal = refusal.clone().into();
                operation
                    .responses
                    .responses
                    .insert("default".to_owned(), refusal);
                if endpoint.access.needs_token() {
                    let token = SecurityRequirement::new(BEARER, Vec::<String>::new());
                    operation.security = Some(vec![token]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = serde_json::to_value(Description::openapi()).unwrap();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let routes: BTreeSet<(String, String)> = routes()
            .iter()
            .map(|route| (route.path.to_owned(), route.method.to_string()))
            // Pages and sockets are not REST.
            .filter(|(path, _)| !path.contains(":.*") && path != "/v1/ws")
            .collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn tokens_are_wanted_exactly_where_the_routes_say() {
        let document = serde_json::to_value(Description::openapi()).unwrap();
        for route in routes() {
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][route.path][method];
            if operation != &Value::Null {
                let wanted = operation.get("security").is_some();
                assert_eq!(wanted, route.access.needs_token(), "{}", route.path);
            }
        }
    }
}
