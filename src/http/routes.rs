//! The one list of routes, with who may call each.
//!
//! A route stands here or does not exist, and each has an [`Access`]: there is no default
//! but refusal.

use actix_web::dev::Handler;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Responder, Route, guard, web};

use super::access::{self, Access};
use super::error::Problem;
use super::{
    admin, assets, auth, common, config, explain, export, health, inbox, me, members, messages,
    nodes, rooms, users, ws,
};

/// The address of what no other route takes.
const ANYWHERE: &str = "/{path:.*}";

/// An address, a method, who may call it, and what it does.
pub struct Endpoint {
    /// How it is called.
    pub method: Method,
    /// Where it is; names in braces stand for ids.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    route: Route,
}

/// Every route of a node, those at the same address together.
pub fn routes() -> Vec<Endpoint> {
    use Access::*;
    vec![
        // -- auth ------------------------------------------------------------------------
        post("/v1/auth/sign-up", Anyone, auth::sign_up),
        post("/v1/auth/guest", Anyone, auth::guest),
        post("/v1/auth/sign-in", Anyone, auth::sign_in),
        post("/v1/auth/refresh", Anyone, auth::refresh),
        post("/v1/auth/sign-out", Anyone, auth::sign_out),
        // -- me --------------------------------------------------------------------------
        get("/v1/me", SignedIn, me::get),
        patch("/v1/me", SignedIn, me::change),
        delete("/v1/me", SignedIn, me::resign),
        get("/v1/me/sessions", SignedIn, me::logins),
        delete("/v1/me/sessions", SignedIn, me::end_all_logins),
        delete("/v1/me/sessions/{id}", SignedIn, me::end_login),
        get("/v1/me/inbox", SignedIn, inbox::get),
        get("/v1/me/export", SignedIn, export::get),
        // -- people ----------------------------------------------------------------------
        get("/v1/users", Account, users::search),
        get("/v1/users/{id}", SignedIn, users::get),
        // -- rooms -----------------------------------------------------------------------
        get("/v1/rooms", SignedIn, rooms::list),
        post("/v1/rooms", Account, rooms::make),
        post("/v1/rooms/dm", Account, rooms::direct),
        get("/v1/rooms/{room}", Reader, rooms::get),
        patch("/v1/rooms/{room}", Owner, rooms::change),
        delete("/v1/rooms/{room}", Owner, rooms::close),
        post("/v1/rooms/{room}/join", Reader, rooms::join),
        post("/v1/rooms/{room}/leave", Member, rooms::leave),
        get("/v1/rooms/{room}/members", Member, members::list),
        put("/v1/rooms/{room}/members/{user}", Moderator, members::put),
        delete(
            "/v1/rooms/{room}/members/{user}",
            Moderator,
            members::remove,
        ),
        // -- messages --------------------------------------------------------------------
        get("/v1/rooms/{room}/messages", Member, messages::list),
        post("/v1/rooms/{room}/messages", Member, messages::publish),
        get("/v1/rooms/{room}/messages/count", Member, messages::count),
        get("/v1/rooms/{room}/events", Member, messages::events),
        put("/v1/rooms/{room}/read", Member, messages::read),
        get("/v1/rooms/{room}/unread", Member, messages::unread),
        // -- streams ---------------------------------------------------------------------
        get("/v1/ws", Anyone, ws::upgrade),
        // -- the rest --------------------------------------------------------------------
        get("/v1/common/{key}", Anyone, common::get),
        post("/v1/admin/users/{id}/suspend", Admin, admin::suspend),
        delete("/v1/admin/users/{id}/suspend", Admin, admin::lift),
        get("/v1/admin/nodes", Admin, nodes::list),
        post("/v1/admin/nodes/{id}/drain", Admin, nodes::drain),
        get("/v1/admin/rooms/{room}/explain", Admin, explain::explain),
        get("/v1/admin/config", Admin, config::get),
        put("/v1/admin/config", Admin, config::put),
        get("/healthz", Anyone, health::healthz),
        get("/readyz", Anyone, health::readyz),
        get("/metrics", Anyone, health::metrics),
        // -- the web client: what no other route takes -------------------------------------
        get(ANYWHERE, Anyone, assets::get),
    ]
}

/// Registers them all. Methods that an address does not take are told so.
pub(super) fn register(app: &mut web::ServiceConfig) {
    let mut endpoints = routes().into_iter().peekable();
    while let Some(first) = endpoints.next() {
        let path = first.path;
        let mut methods = vec![first.method.clone()];
        let mut resource = web::resource(path).route(first.into_route());
        while let Some(next) = endpoints.next_if(|next| next.path == path) {
            methods.push(next.method.clone());
            resource = resource.route(next.into_route());
        }
        let allowed = allowed(&methods);
        let refuse = move || async move {
            Err::<String, _>(match path {
                ANYWHERE => Problem::NotFound,
                _ => Problem::MethodNotAllowed { allowed },
            })
        };
        app.service(resource.default_service(web::to(refuse)));
    }
}

impl Endpoint {
    fn new<F, Args>(method: Method, path: &'static str, access: Access, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = Route::new().to(handler);
        Self {
            method,
            path,
            access,
            route,
        }
    }

    fn into_route(self) -> Route {
        let access = self.access;
        let guard: Box<dyn guard::Guard> = match self.method {
            // Whoever can ask for the whole may ask for the head alone.
            Method::GET => Box::new(guard::Any(guard::Get()).or(guard::Head())),
            method => Box::new(guard::Method(method)),
        };
        self.route
            .guard(guard::fn_guard(move |context| guard.check(context)))
            .wrap(from_fn(move |request, next| {
                access::check(access, request, next)
            }))
    }
}

/// The value of an `Allow` header. Leaked: there are as many as there are lists of methods.
fn allowed(methods: &[Method]) -> &'static str {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ").leak()
}

fn get<F, Args>(path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint::new(Method::GET, path, access, handler)
}

fn post<F, Args>(path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint::new(Method::POST, path, access, handler)
}

fn put<F, Args>(path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint::new(Method::PUT, path, access, handler)
}

fn patch<F, Args>(path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint::new(Method::PATCH, path, access, handler)
}

fn delete<F, Args>(path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint::new(Method::DELETE, path, access, handler)
}
