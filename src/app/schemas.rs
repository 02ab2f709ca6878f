//! The schemas of the events over HTTP: `GET /schemas/…` on the admin listener.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use tokio::sync::watch;

use crate::{
    config::Config,
    core::contract::{SCHEMA_CONTENT_TYPE, Schemas, Unknown, asyncapi},
    edge::amqp::names::EVENTS_EXCHANGE,
};

/// Returns the routes of the schemas, whose ids begin as the newest configuration says, and of the AsyncAPI
/// document.
pub(super) fn routes(newest: watch::Receiver<Arc<Config>>) -> Router {
    let schema = async move |Path(path): Path<String>| {
        let config = newest.borrow().clone();
        answer(&config.events.schema_base, &path)
    };
    // Made when it is asked for: it is large, and few processes ever are.
    let document =
        async || json("application/json", asyncapi(EVENTS_EXCHANGE, env!("CARGO_PKG_VERSION")).pretty());
    Router::new().route("/schemas/{*path}", get(schema)).route("/schemas/asyncapi.json", get(document))
}

fn answer(base: &str, path: &str) -> Response {
    match Schemas::new(base, Unknown::Allowed).at(path) {
        Some(schema) => json(SCHEMA_CONTENT_TYPE, schema.pretty()),
        None => {
            let problem = "no such schema: `hookswitch schema` lists the paths of all\n";
            (StatusCode::NOT_FOUND, problem).into_response()
        }
    }
}

fn json(content_type: &'static str, text: String) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_schema_is_served_under_the_path_of_its_id() {
        let base = "https://example.com/schemas";
        let response = answer(base, "data/call/1.json");
        assert_eq!(response.headers()[CONTENT_TYPE], SCHEMA_CONTENT_TYPE);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let schema: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(schema["$id"], "https://example.com/schemas/data/call/1.json");
        assert_eq!(answer(base, "events/call.ended/1.json").status(), StatusCode::OK);
        for unknown in
            ["data/call/2.json", "data/call", "", "../data/call/1.json", "events/call.ended/1.json/"]
        {
            assert_eq!(answer(base, unknown).status(), StatusCode::NOT_FOUND, "{unknown}");
        }
    }
}
