//! All routes and layers, in order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, get, head, on, post};
use http::{Uri, header};
use tower_http::cors::{AllowHeaders, AllowMethods, Any, CorsLayer, ExposeHeaders};

use crate::app::App;
use crate::feed::{changes, events};
use crate::problem::Problem;
use crate::{
    access_log, delete, digest, files, health, linger, listing, openapi, problem, put, tus, web,
};

/// Bytes of a path and query; the longest path of a file takes 12 KiB with every byte escaped.
const LONGEST_URI: usize = 16 * 1024;
/// Bytes of all header fields together.
const LARGEST_HEADERS: usize = 16 * 1024;
/// How long a browser may remember what a preflight allowed. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

/// The service's public face.
pub fn router(app: Arc<App>) -> Router {
    let activity = Arc::clone(&app.activity);
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
        .route("/health", get(health::answer))
        .route("/openapi.json", get(openapi::answer))
        .route("/sounding.js", get(web::module))
        .route("/sounding.d.ts", get(web::types))
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .fallback(|| async { Problem::NotFound })
        .with_state(app)
        // Before any route reads them.
        .layer(from_fn(limit_sizes))
        // Around all that can refuse.
        .layer(from_fn(problem::for_people))
        // Around problems too: an app on another origin must be able to read them.
        .layer(cors())
        // Around the layer that answers every `OPTIONS`.
        .layer(from_fn(tus::announce))
        // Around all that may leave a body unread.
        .layer(from_fn(linger::linger))
        // Outermost, so that each request has its line.
        .layer(from_fn_with_state(activity, access_log::log))
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

/// Open to every origin: keys are the protection, and they never ride on cookies.
fn cors() -> CorsLayer {
    let mut exposed = vec![
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::DATE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::LINK,
        header::LOCATION,
        header::RETRY_AFTER,
        digest::REPR_DIGEST,
        listing::TOTAL_COUNT,
    ];
    exposed.extend(tus::EXPOSED);
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(exposed))
        .allow_private_network(true)
        .max_age(PREFLIGHT_LASTS)
        // The answers do not depend on the origin.
        .vary([])
}

async fn limit_sizes(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|it| it.as_str().len() > LONGEST_URI) {
        return Problem::UriTooLong.into_response();
    }
    let sizes = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if sizes.sum::<usize>() > LARGEST_HEADERS {
        return Problem::HeadersTooLarge.into_response();
    }
    next.run(request).await
}
