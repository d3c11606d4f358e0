//! All routes. What goes around them is [`Front`](crate::front::Front)'s.

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::{MethodFilter, MethodRouter, get, head, on, post};
use http::Uri;

use crate::app::App;
use crate::feed::{changes, events};
use crate::problem::Problem;
use crate::{delete, files, health, openapi, put, tus, web};

/// The public ones.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("files/") }))
        .route("/files", get(|| async { Redirect::temporary("files/") }))
        .route("/files/", tree())
        .route("/files/{*path}", tree())
        .route("/share/{key}", get(add_slash))
        .route("/share/{key}/", tree())
        .route("/share/{key}/{*path}", tree())
        .route("/uploads", post(tus::create))
        .route("/uploads/", post(tus::create))
        .route("/uploads/{id}", upload())
        .route("/changes", get(changes::answer))
        .route("/events", get(events::answer))
        .route(health::PATH, get(health::answer))
        .route("/openapi.json", get(openapi::answer))
        .route("/sounding.js", get(web::module))
        .route("/sounding.d.ts", get(web::types))
        .method_not_allowed_fallback(|method| async move { Problem::of_method(&method) })
        .fallback(|| async { Problem::NotFound })
        .with_state(app)
}

/// For an address that lost its slash on the way.
async fn add_slash(uri: Uri) -> Redirect {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    Redirect::temporary(&format!("./{name}/"))
}

fn tree() -> MethodRouter<Arc<App>> {
    on(MethodFilter::GET.or(MethodFilter::HEAD), files::answer)
        .put(put::answer)
        .delete(delete::answer)
}

fn upload() -> MethodRouter<Arc<App>> {
    head(tus::look).patch(tus::patch).delete(tus::delete).post(tus::overridden)
}
