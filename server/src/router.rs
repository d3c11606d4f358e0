//! The public router. Everything around it is done by [`PublicService`](crate::service::PublicService).

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::Redirect;
use axum::routing::{MethodFilter, MethodRouter, get, head, on, post};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::admin::health;
use crate::app::App;
use crate::feed::{changes, events};
use crate::files::delete;
use crate::files::get;
use crate::problem::Problem;
use crate::routes::Route;
use crate::uploads::put;
use crate::uploads::tus;
use crate::web::openapi;
use crate::web::sounding_js;

pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Route::ALL.into_iter().filter(|it| it.is_pattern());
    routes
        .fold(Router::new(), |router, it| router.route(it.pattern(), methods(it)))
        .method_not_allowed_fallback(|method| async move { Problem::of_method(&method) })
        .fallback(|| async { Problem::NotFound })
        .with_state(app)
}

fn methods(route: Route) -> MethodRouter<Arc<App>> {
    match route {
        Route::Other => MethodRouter::new(),
        Route::Root | Route::Files => get(to_root),
        Route::FilesRoot | Route::FilesPath | Route::ShareRoot | Route::SharePath => tree(),
        Route::Share => get(get::answer),
        Route::Uploads | Route::UploadsSlash => post(tus::create),
        Route::Upload => upload(),
        Route::Changes => get(changes::answer),
        Route::Events => get(events::answer),
        Route::Health => get(health::answer),
        Route::OpenApi => get(openapi::answer),
        Route::Module => get(sounding_js::module),
        Route::Types => get(sounding_js::types),
    }
}

/// Redirects to the root's listing. The location is relative, so that it is valid behind any proxy.
async fn to_root(RawQuery(query): RawQuery) -> Redirect {
    let query = query.map(|it| format!("?{}", utf8_percent_encode(&it, CONTROLS)));
    Redirect::temporary(&format!("files/{}", query.unwrap_or_default()))
}

fn tree() -> MethodRouter<Arc<App>> {
    on(MethodFilter::GET.or(MethodFilter::HEAD), get::answer)
        .put(put::answer)
        .delete(delete::answer)
}

fn upload() -> MethodRouter<Arc<App>> {
    head(tus::head).patch(tus::patch).delete(tus::delete).post(tus::method_override)
}
